// The examples of the README: the program does what it says, and all of them have the right types.

import { equal } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Server } from "./support/server.js";

const FOLDER = "build/readme";
const PRINTED = `Hello! I am glad you are here. Tell me your name, and I will keep it in my memory.
true
The tool says: sunny
InvalidRequestError INVALID_REQUEST { agent_id: 'must be agent-<uuid4>, in lower case' }
`;
const TSCONFIG = {
  extends: "../../tsconfig.json",
  compilerOptions: { rootDir: ".", outDir: "out", jsx: "react-jsx" },
  include: ["*.ts", "*.tsx"],
};

test("the program of the README does what it says", async () => {
  await using server = await Server.start();
  const readme = readFileSync("README.md", "utf8");
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}/tsconfig.json`, JSON.stringify(TSCONFIG));
  for (const [, language, code] of readme.matchAll(/^```(tsx?)\n(.*?)^```/gms)) {
    writeFileSync(`${FOLDER}/example_${language}.${language}`, code!.replaceAll("127.0.0.1:50051", server.target));
  }
  execFileSync("npx", ["tsc", "-p", FOLDER], { stdio: ["ignore", "inherit", "ignore"] });
  equal(execFileSync("node", [`${FOLDER}/out/example_ts.js`], { encoding: "utf8", timeout: 30_000 }), PRINTED);
});
