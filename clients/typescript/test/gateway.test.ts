// Calls as HTTP, by the contract alone.

import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as passed } from "node:timers/promises";
import type { DescMethod } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  ClientClosedError,
  ConversationBusyError,
  DEFAULT_RETRY,
  DeadlineExceededError,
  EventsExpiredError,
  InvalidRequestError,
  LettaError,
  UnavailableError,
} from "letta-grpc";
import * as v1 from "letta-grpc/v1";
import { connect } from "letta-grpc/web";
import { failureIn, failureOf } from "#dist/gateway/failures.js";
import { requestOf } from "#dist/gateway/routes.js";
import { Unrolled } from "#dist/gateway/unrolled.js";

const SERVICES = Object.values(v1).filter((one) => typeof one === "object" && "kind" in one && one.kind === "service");
const METHODS: DescMethod[] = SERVICES.flatMap((service) => service.methods);

function answering(answer: () => Response | Promise<Response>) {
  return connect("http://gateway", { fetch: async () => answer(), retry: { initialMs: 1, maximumMs: 1 } });
}

test("every call but the one of both directions has a form over HTTP, with no line about it here", () => {
  ok(METHODS.length > 40);
  for (const method of METHODS) {
    if (method.methodKind === "bidi_streaming") throws(() => requestOf(method, {}), /cannot be called over HTTP/);
    else match(requestOf(method, create(method.input)).path, /^\/v1\/[^{}]*$/);
  }
});

test("what the path names is not in the body", () => {
  const { verb, path, body } = requestOf(v1.RunService.method.streamRun, {
    agentId: "a/ü",
    requestId: "r",
    run: { maxSteps: 3 },
  });
  deepEqual([verb, path, body], ["POST", "/v1/agents/a%2F%C3%BC/runs:stream", { requestId: "r", run: { maxSteps: 3 } }]);
});

test("dots that a URL would resolve are no id", () => {
  throws(() => requestOf(v1.RunService.method.getRun, { runId: ".." }), { name: "InvalidRequestError" });
});

test("the place in a stream is its Last-Event-ID, and the rest are parameters", () => {
  const options = {
    omitDeltas: true,
    eventKinds: [v1.EventKind.CUSTOM, v1.EventKind.TOOL_RETURN],
    heartbeatInterval: durationFromMs(1500),
  };
  const request = requestOf(v1.RunService.method.attachRun, { runId: "run-1", afterSequenceNumber: 7, options });
  const query =
    "options.eventKinds=EVENT_KIND_CUSTOM&options.eventKinds=EVENT_KIND_TOOL_RETURN&options.omitDeltas=true&options.heartbeatInterval=1.500s";
  deepEqual(request, { verb: "GET", path: `/v1/runs/run-1/events:stream?${query}`, body: undefined, lastEventId: "7" });
});

test("frames become responses again", () => {
  const unrolled = new Unrolled(v1.StreamRunsResponseSchema);
  const read = (data: object) => unrolled.of({ id: null, event: "", data: JSON.stringify(data) })!;
  const response = read({ runId: "run-1", startIndex: 2, sequenceNumber: 4, textDelta: { text: "Hi" }, fromTheFuture: 1 });
  deepEqual([response.runId, response.startIndex, response.events.length], ["run-1", 2, 1]);
  deepEqual([response.events[0]!.sequenceNumber, response.events[0]!.payload.case], [4, "textDelta"]);
  const refused = read({ startIndex: 1, refusal: { message: "no" } });
  deepEqual([refused.events.length, refused.refusal?.message], [0, "no"]);
  equal(read({ sequenceNumber: 5, somethingNew: {} }).events[0]!.payload.case, undefined);
  const beat = unrolled.of({ id: "6", event: "message", data: null })!.events[0]!;
  deepEqual([beat.sequenceNumber, beat.payload.case], [6, "heartbeat"]);
});

test("a failure has its reason, its facts and its delay", () => {
  const info = { "@type": "…ErrorInfo", reason: "CONVERSATION_BUSY", metadata: { active_run_id: "run-1" } };
  const told = { error: { code: 409, status: "ABORTED", message: "busy", details: [info, { retryDelay: "1.5s" }] } };
  const error = failureIn(JSON.stringify(told));
  ok(error instanceof ConversationBusyError);
  deepEqual([error.code, error.message, error.activeRunId, error.retryDelayMs], ["ABORTED", "busy", "run-1", 1500]);
});

test("what a proxy answers is a failure, too", async () => {
  const failure = (status: number, headers = {}) => failureOf(new Response("<h1>Oops</h1>", { status, headers }));
  const seen = await Promise.all([502, 500, 401].map((status) => failure(status)));
  deepEqual(
    seen.map(({ code, isRetryable }) => [code, isRetryable]),
    [
      ["UNAVAILABLE", true],
      ["UNKNOWN", true],
      ["UNAUTHENTICATED", false],
    ],
  );
  equal((await failure(503, { "retry-after": "2" })).retryDelayMs, 2000);
});

test("a call that reads is made again while the server is away, and one that makes something is not", async () => {
  let calls = 0;
  const client = answering(() => {
    calls += 1;
    throw new TypeError("fetch failed");
  });
  await rejects(client.agents.getAgent({ agentId: "a" }), UnavailableError);
  equal(calls, DEFAULT_RETRY.callAttempts);
  await rejects(client.agents.createAgent({ agent: { name: "ada" } }), UnavailableError);
  equal(calls, DEFAULT_RETRY.callAttempts + 1);
});

test("a time that is over says why the try before failed", async () => {
  let calls = 0;
  const fetch = (_: string, { signal }: RequestInit) =>
    new Promise<Response>((_resolve, reject) => {
      calls += 1;
      if (calls === 1) reject(new TypeError("fetch failed"));
      signal!.addEventListener("abort", () => reject(signal!.reason));
    });
  const client = connect("http://gateway", { fetch, retry: { initialMs: 1 } });
  await rejects(client.agents.getAgent({ agentId: "a" }, { timeoutMs: 50 }), (error: unknown) => {
    ok(error instanceof DeadlineExceededError && error.cause instanceof UnavailableError);
    ok(error.message.endsWith(`; the try before failed: ${error.cause.message}`), error.message);
    return true;
  });
});

test("a call ends when its time is over, or its caller leaves", async () => {
  const never = (_: string, { signal }: RequestInit) =>
    new Promise<Response>((_resolve, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  const client = connect("http://gateway", { fetch: never });
  await rejects(client.agents.getAgent({ agentId: "a" }, { timeoutMs: 20 }), DeadlineExceededError);
  const leaving = new AbortController();
  const call = client.agents.getAgent({ agentId: "a" }, { signal: leaving.signal });
  leaving.abort(new Error("I leave"));
  await rejects(call, /I leave/);
});

test("a call that waits for its answer, or for a new try, ends with its client", { timeout: 5_000 }, async () => {
  const never = (_: string, { signal }: RequestInit) =>
    new Promise<Response>((_resolve, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  const nowhere = () => Promise.reject(new TypeError("fetch failed"));
  for (const fetch of [never, nowhere]) {
    const client = connect("http://gateway", { fetch, retry: { initialMs: 60_000, maximumMs: 60_000 } });
    const call = client.execute("a", "Hello!");
    await passed(5);
    await Promise.all([rejects(call, ClientClosedError), client.close()]);
  }
});

test("a stream of the generated service ends with its client, too", { timeout: 5_000 }, async () => {
  const fetch = async (_: string, { signal }: RequestInit) => {
    const start = (line: ReadableStreamDefaultController) => signal!.addEventListener("abort", () => line.error(signal!.reason));
    return new Response(new ReadableStream({ start }));
  };
  const client = connect("http://gateway", { fetch });
  const reading = rejects(async () => {
    for await (const _ of client.runs.attachRun({ runId: "run-1" }));
  }, ClientClosedError);
  await passed(5);
  await client.close();
  await reading;
});

test("a call without a limit, or with a very long one, has its answer, and what is no time is refused", async () => {
  // Later than a timer of no time at all.
  const fetch = (_: string, { signal }: RequestInit) =>
    passed(20, new Response(JSON.stringify({ agent: { id: "a" } })), { signal: signal! });
  const client = connect("http://gateway", { fetch });
  for (const timeoutMs of [0, Infinity, 2 ** 31]) {
    equal((await client.agents.getAgent({ agentId: "a" }, { timeoutMs })).agent?.id, "a");
    equal((await connect("http://gateway", { fetch, timeoutMs }).agents.getAgent({ agentId: "a" })).agent?.id, "a");
  }
  for (const timeoutMs of [NaN, -1]) {
    await rejects(client.agents.getAgent({ agentId: "a" }, { timeoutMs }), InvalidRequestError);
    throws(() => connect("http://gateway", { timeoutMs }), InvalidRequestError);
  }
});

test("an error in the middle of a stream is thrown if no new try helps", async () => {
  const details = [{ reason: "EVENTS_EXPIRED", metadata: { oldest: "7", last: "9" } }];
  const frame = `event: error\ndata: ${JSON.stringify({ error: { status: "OUT_OF_RANGE", message: "gone", details } })}\n\n`;
  const client = answering(() => new Response(frame, { headers: { "letta-run-id": "run-1" } }));
  await rejects(client.attach("run-1").text(), (error) => {
    ok(error instanceof EventsExpiredError && error instanceof LettaError);
    deepEqual([error.oldest, error.last, error.name], [7, 9, "EventsExpiredError"]);
    return true;
  });
});
