// A real server, by both transports: they give the same.

import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import {
  type Client,
  InvalidRequestError,
  items,
  NotFoundError,
  RunState,
  textOf,
  toolReturn,
  UnauthenticatedError,
} from "letta-grpc";
import * as node from "letta-grpc/node";
import * as web from "letta-grpc/web";
import { script, Server } from "./support/server.js";

const TLS = "../../tests/support/tls";
const KEY = "a-key";
const NOBODY = "agent-00000000-0000-4000-8000-000000000000";

for (const transport of ["gRPC", "HTTP"] as const) {
  describe(`over ${transport}`, { timeout: 120_000 }, () => {
    let server: Server;
    let client: Client;
    let agentId: string;
    const connected = (options: { apiKey?: string }) =>
      transport === "gRPC" ? node.connect(server.target, options) : web.connect(`${server.url}/`, options);

    before(async () => {
      server = await Server.start({ LETTA_GRPC_API_KEYS: KEY });
      client = connected({ apiKey: KEY });
      const { agent } = await client.agents.createAgent({ agent: { name: "ada", model: "scripted/script" } });
      agentId = agent!.id;
    });

    after(async () => {
      await client.close();
      await server[Symbol.asyncDispose]();
    });

    test("a run is followed to its end, and its messages are the conversation's", async () => {
      const stream = client.stream(agentId, script([{ text: "Hello, wörld 🌍" }]), { metadata: { from: transport } });
      const numbers = [];
      for await (const { sequenceNumber } of stream) numbers.push(sequenceNumber);
      const run = await stream.final();
      deepEqual(
        numbers,
        numbers.map((_, index) => index + 1),
      );
      deepEqual([run.state, run.id, run.metadata], [RunState.COMPLETED, stream.runId, { from: transport }]);
      equal(await stream.text(), "Hello, wörld 🌍");
      const told = [];
      for await (const message of items(client.agents.listMessages, { agentId, pageSize: 1 }, (page) => page.messages))
        told.push(message);
      equal(textOf(told.at(-1)!), "Hello, wörld 🌍");
      equal(await client.attach(run.id, { after: 2 }).text(), "Hello, wörld 🌍");
    });

    test("a run that is executed gives its messages", async () => {
      const { run, messages } = await client.execute(agentId, script([{ text: "Done." }]));
      deepEqual([run!.state, messages.map(textOf)], [RunState.COMPLETED, ["Done."]]);
    });

    test("a tool of the client's is run here", async () => {
      const clientTools = [{ name: "weather", parameters: '{"type": "object"}' }];
      const turns = script([{ tool_call: { name: "weather", arguments: {}, id: "call_1" } }], [{ text: "Well." }]);
      const run = await client.stream(agentId, turns, { clientTools }).final();
      equal(run.state, RunState.INTERRUPTED);
      const answers = Object.fromEntries(run.pendingActions.map(({ toolCallId }) => [toolCallId, toolReturn({ sky: "blue" })]));
      const answering = client.answer(run, answers);
      equal(await answering.text(), "Well.");
      ok((await answering.final()).resumesRunId === run.id);
    });

    test("a run is cancelled, and says what it had said", async () => {
      const stream = client.stream(agentId, script([{ text: "I think " }, { wait_for_cancel: true }]));
      for await (const { payload } of stream) if (payload.case === "textDelta") await stream.cancel();
      equal((await stream.final()).state, RunState.CANCELLED);
      equal(await stream.text(), "I think ");
    });

    test("what is refused has the server's reason", async () => {
      const refused = { name: "NotFoundError", reason: "AGENT_NOT_FOUND", metadata: { agent_id: NOBODY } };
      await rejects(client.stream(NOBODY, "Hello?").text(), refused);
      await rejects(client.agents.getAgent({ agentId: NOBODY }), NotFoundError);
      const unknown = client.stream(agentId, "Hello?", { toolChoice: ["nothing"] }).text();
      await rejects(unknown, { reason: "INVALID_REQUEST", message: /'nothing' is neither a tool of the agent nor/ });
    });

    test("what no request can say is refused at once, and times are rounded", { timeout: 5_000 }, async () => {
      const run = await client.stream(agentId, script([]), { runTimeoutMs: 123_000 / 7, heartbeatMs: 10_000 / 7 }).final();
      equal(run.state, RunState.COMPLETED);
      throws(() => client.stream(agentId, "Hello?", { runTimeoutMs: Infinity }), InvalidRequestError);
      await rejects(client.stream(agentId, "Hello?", { maxSteps: 2.5 }).started(), InvalidRequestError);
      await rejects(client.attach(run.id, { after: 2 ** 40 }).text(), InvalidRequestError);
      await rejects(client.agents.getAgent({ agentId: "\ud83d" }), InvalidRequestError);
    });

    test("a call may have all the time there is", async () => {
      for (const timeoutMs of [0, Infinity, 2 ** 31, 1e12]) {
        equal((await client.agents.getAgent({ agentId }, { timeoutMs })).agent!.id, agentId);
      }
    });

    test("a limit with a fraction of a millisecond harms neither its call nor the next ones", async () => {
      for (const timeoutMs of [60_000.5, 60_000, 0.5 + 2 ** 30]) {
        equal((await client.agents.getAgent({ agentId }, { timeoutMs })).agent!.id, agentId);
      }
    });

    test("without the key nothing is answered", async () => {
      const stranger = connected({});
      await rejects(stranger.agents.listAgents({}), UnauthenticatedError);
      await rejects(stranger.stream(agentId, "Hello?").started(), { reason: "CREDENTIALS_MISSING" });
      await stranger.close();
    });
  });
}

test("gRPC over TLS, with a root of one's own, and not without", { timeout: 60_000 }, async () => {
  const files = { LETTA_GRPC_TLS_CERTIFICATE_FILE: `${TLS}/certificate.pem`, LETTA_GRPC_TLS_KEY_FILE: `${TLS}/key.pem` };
  await using server = await Server.start(files);
  const secure = node.connect(server.target.replace("127.0.0.1", "localhost"), {
    tls: { ca: readFileSync(`${TLS}/certificate.pem`) },
  });
  const { agents } = await secure.agents.listAgents({});
  deepEqual(agents, []);
  const trusting = node.connect(server.target, { tls: true, retry: { callAttempts: 1 } });
  await rejects(trusting.agents.listAgents({}), { name: "UnavailableError", code: "UNAVAILABLE", message: /certificate/ });
  await Promise.all([secure.close(), trusting.close()]);
});
