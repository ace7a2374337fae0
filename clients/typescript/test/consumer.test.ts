// Whoever uses the package with stricter or older settings than ours finds its types whole.

import { equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";

const FOLDER = "build/consumer";
const SETTINGS = { target: "es2022", lib: ["es2022", "dom"], types: [], strict: true, noEmit: true, skipLibCheck: false };
const PROGRAM = `
import { RunState } from "letta-grpc";
import { useAgentStream } from "letta-grpc/react";
import { RunService } from "letta-grpc/v1";
import { connect } from "letta-grpc/web";
const client = connect();
for await (const { payload } of client.stream("agent", "Hello!")) {
  if (payload.case === "runFinished" && payload.value.run?.state === RunState.FAILED) console.log(RunService.typeName);
}
export const chat = () => useAgentStream({ client, agentId: "agent" }).response.length;
`;

for (const [module, moduleResolution] of [["esnext", "bundler"], ["nodenext", "nodenext"]] as const) {
  test(`the types are whole with module resolution ${moduleResolution}`, () => {
    const folder = `${FOLDER}/${moduleResolution}`;
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: { ...SETTINGS, module, moduleResolution } }));
    writeFileSync(`${folder}/program.ts`, PROGRAM);
    equal(spawnSync("npx", ["tsc", "-p", folder], { encoding: "utf8" }).stdout, "");
  });
}
