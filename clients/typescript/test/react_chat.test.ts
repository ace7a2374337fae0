// The example in a real Chromium, against a real server. Built as it is for production, and with React's development build,
// where StrictMode mounts everything twice.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";
import { RunState } from "letta-grpc";
import { type Browser, chromium, type Page } from "playwright-core";
import { build, type InlineConfig, preview, type PreviewServer } from "vite";
import { script, Server } from "./support/server.js";

const EXAMPLE = "examples/react-chat";
const CONFIG = { root: EXAMPLE, configFile: `${EXAMPLE}/vite.config.js`, logLevel: "silent" } satisfies InlineConfig;
const WORDS = Array.from({ length: 60 }, (_, number) => `word${number} `);
const SLOW = WORDS.map((text) => ({ text, delay_ms: 40 }));
const TEXT = WORDS.join("");
const CALL = { tool_call: { name: "memory_insert", arguments: { label: "human", text: "tea" } } };
const program = ["chromium", "chromium-browser", "google-chrome"].map(found).find(Boolean);
const skip = !program && !process.env["CI"] && "chromium is not installed";

describe("the chat", { skip, timeout: 240_000 }, () => {
  let server: Server;
  const files: PreviewServer[] = [];
  let browser: Browser;
  let page: Page;
  let url: string;
  let problems: string[];

  before(async () => {
    server = await Server.start();
    process.env["LETTA_GRPC_URL"] = server.url;
    url = await served("development");
    ok(program, "chromium is missing");
    browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
  });

  after(async () => {
    await browser?.close();
    for (const one of files) await one.close();
    await server?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    problems = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  });

  afterEach(async () => {
    await page.close();
  });

  /** Build the example in one of React's two ways, and serve it; return where. */
  async function served(mode: "development" | "production"): Promise<string> {
    process.env["NODE_ENV"] = mode;
    const outDir = `../../build/react-chat/${mode}`;
    await build({ ...CONFIG, mode, build: { outDir, emptyOutDir: true } });
    const server = await preview({ ...CONFIG, build: { outDir }, preview: { host: "127.0.0.1", port: 0 } });
    files.push(server);
    return server.resolvedUrls!.local[0]!;
  }

  async function open(fields: object = {}): Promise<string> {
    const { agent } = await server.client.agents.createAgent({ agent: { name: "Ada", model: "scripted/script", ...fields } });
    await page.goto(`${url}#${agent!.id}`);
    return agent!.id;
  }

  async function say(text: string): Promise<void> {
    await page.getByLabel("Message").fill(text);
    await page.getByRole("button", { name: "Send" }).click();
  }

  const answer = () => page.locator(".agent").last();
  const settled = () => page.locator("main[aria-busy=false]").waitFor();
  const begun = (word: string) => answer().filter({ hasText: word }).waitFor();

  async function states(agentId: string): Promise<RunState[]> {
    return (await server.client.runs.listRuns({ agentId })).runs.map((run) => run.state);
  }

  test("an agent is made, and its answer streams, as built for production", async () => {
    await page.goto(await served("production"));
    await page.getByRole("button", { name: "New agent" }).click();
    await say("Hello!");
    await begun("I am glad you are here.");
    await settled();
    deepEqual(problems, []);
  });

  test("words are shown as they come, and a second turn follows the first", async () => {
    await open();
    await say(script(SLOW));
    await begun("word5 ");
    ok((await answer().textContent()) !== TEXT);
    await settled();
    await say(script([{ text: "Well." }]));
    await begun("Well.");
    await settled();
    deepEqual(await page.locator(".agent").allTextContents(), [TEXT, "Well."]);
    deepEqual(problems, []);
  });

  test("stop cancels the run and keeps what it has said", async () => {
    const agentId = await open();
    await say(script([{ text: "I think " }, { wait_for_cancel: true }]));
    await begun("I think ");
    await page.getByRole("button", { name: "Stop" }).click();
    await settled();
    equal(await answer().textContent(), "I think ");
    deepEqual(await states(agentId), [RunState.CANCELLED]);
    deepEqual(problems, []);
  });

  test("a call waits for the person, and runs once it is approved", async () => {
    const agentId = await open({ memoryBlocks: [{ label: "human" }], toolApprovals: { memory_insert: true } });
    await say(script([{ text: "May I?" }, CALL], [{ text: "Done." }]));
    const question = page.getByRole("region", { name: "May memory_insert run?" });
    await question.getByRole("button", { name: "Approve" }).click();
    await begun("Done.");
    await settled();
    equal(await answer().textContent(), "May I?\n\nDone.");
    equal(await question.count(), 0);
    equal((await server.client.agents.getMemoryBlock({ agentId, label: "human" })).block!.value, "tea");
    deepEqual(problems, []);
  });

  test("a call that is denied does not run", async () => {
    const agentId = await open({ memoryBlocks: [{ label: "human" }], toolApprovals: { memory_insert: true } });
    await say(script([CALL], [{ text: "A pity." }]));
    await page.getByRole("button", { name: "Deny" }).click();
    await begun("A pity.");
    await settled();
    equal((await server.client.agents.getMemoryBlock({ agentId, label: "human" })).block!.value, "");
    deepEqual(problems, []);
  });

  test("the server is killed in the middle and started again: no word is lost, none comes twice", async () => {
    const agentId = await open({ memoryBlocks: [{ label: "human" }] });
    await say(script([{ text: "First." }, CALL], SLOW));
    await begun("word9 ");
    await server.kill();
    await server.start();
    await settled();
    equal(await answer().textContent(), `First.\n\n${TEXT}`);
    deepEqual(await states(agentId), [RunState.COMPLETED]);
    const lost = problems.filter((problem) => !/net::ERR_|status of 50\d/.test(problem));
    deepEqual(lost, []);
  });

  test("leaving ends the reading and not the run", async () => {
    const agentId = await open();
    await say(script(SLOW));
    await begun("word3 ");
    const gone = page.waitForEvent("requestfailed");
    await page.getByRole("link", { name: "All agents" }).click();
    match((await gone).url(), /runs:stream$/);
    const [run] = (await server.client.runs.listRuns({ agentId })).runs;
    equal(await server.client.attach(run!.id).text(), TEXT);
    deepEqual(problems, []);
  });

  test("what the server refuses is shown", async () => {
    await page.goto(`${url}#agent-00000000-0000-4000-8000-000000000000`);
    await say("Hello?");
    await page.getByRole("alert").waitFor();
    match((await page.getByRole("alert").textContent()) ?? "", /agent/);
  });
});

function found(name: string): string | undefined {
  const paths = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
