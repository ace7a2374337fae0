// How a stream is left, and taken up again; what the conformance kit plays is not played here again.

import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { setTimeout as passed } from "node:timers/promises";
import {
  ClientClosedError,
  DEFAULT_RETRY,
  DeadlineExceededError,
  InvalidRequestError,
  RunFailedError,
  RunState,
  type RunStream,
  StreamClosedError,
  UnavailableError,
} from "letta-grpc";
import { connect } from "letta-grpc/web";
import { ends, event, FakeServer, type Play, plays, says } from "./support/fake_server.js";

const HELLO = [says(1, "Hel"), says(2, "lo"), ends(3)];

/** How many timers keep this process alive. */
function running(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

async function numbers(stream: RunStream): Promise<number[]> {
  const seen = [];
  for await (const { sequenceNumber } of stream) seen.push(sequenceNumber);
  return seen;
}

test("after a break iterating goes on behind the last event", async () => {
  const server = new FakeServer(plays(HELLO, "silence"), plays(HELLO.slice(1)));
  const stream = server.client.stream("agent-1", "Hello!");
  for await (const { sequenceNumber } of stream) if (sequenceNumber === 1) break;
  deepEqual(await numbers(stream), [2, 3]);
  deepEqual(server.attachedAfter, [1]);
  equal(stream.soFar.textSoFar, "Hello");
});

test("a reading that waits for an event ends with `return`, and can be taken up again", async () => {
  const server = new FakeServer(plays(HELLO.slice(0, 1), "silence"), plays(HELLO.slice(1)));
  const stream = server.client.stream("agent-1", "Hello!");
  await stream.next();
  const waiting = stream.next();
  await passed(5);
  await stream.return();
  deepEqual(await waiting, { done: true, value: undefined });
  await server.quiet();
  deepEqual(await numbers(stream), [2, 3]);
  deepEqual(server.attachedAfter, [1]);
});

test("a stream that is closed ends, and its run is not cancelled", async () => {
  const server = new FakeServer(plays(HELLO, "silence"));
  const stream = server.client.stream("agent-1", "Hello!");
  for await (const _ of stream) await stream.close();
  await rejects(stream.final(), StreamClosedError);
  await server.quiet();
  deepEqual([server.cancels.length, server.attachedAfter.length], [0, 0]);
});

test("a signal ends the reading with its reason, wherever the stream is", async () => {
  const server = new FakeServer(plays(HELLO.slice(0, 2), "silence"));
  const leaving = new AbortController();
  const stream = server.client.stream("agent-1", "Hello!", { signal: leaving.signal });
  const reading = numbers(stream);
  await stream.started();
  leaving.abort(new Error("I leave"));
  await rejects(reading, /I leave/);
  await rejects(stream.final(), /I leave/);
  equal(server.cancels.length, 0);
});

test("with a signal that has come already nothing is started", async () => {
  const server = new FakeServer();
  await rejects(server.client.stream("agent-1", "Hello!", { signal: AbortSignal.abort() }).text(), { name: "AbortError" });
  equal(server.starts.length, 0);
});

test("the time for all of the reading is a limit that events do not prolong", async () => {
  const server = new FakeServer(plays(HELLO.slice(0, 2), "silence"));
  await rejects(server.client.stream("agent-1", "Hello!", { timeoutMs: 50 }).text(), DeadlineExceededError);
});

test("a limit that ends the tries says why they failed", async () => {
  const server = new FakeServer(plays(HELLO.slice(0, 2), "cut"), plays([], "silence"));
  const reading = server.client.stream("agent-1", "Hello!", { timeoutMs: 100 }).text();
  await rejects(reading, (error: unknown) => {
    ok(error instanceof DeadlineExceededError && error.cause instanceof UnavailableError);
    ok(error.message.endsWith("it goes on; the try before failed: the link broke"), error.message);
    return true;
  });
});

test("silence counts from the acceptance on: before it no heartbeat is due", async () => {
  const accepts: Play = async function* (context) {
    await passed(200);
    yield* plays(HELLO)(context);
  };
  const server = new FakeServer(accepts, plays(HELLO));
  const stream = server.client.stream("agent-1", "Hello!", { heartbeatMs: 20 });
  deepEqual(await numbers(stream), [1, 2, 3]);
  equal(server.starts.length, 1);
});

test("the time goes on between two readings", async () => {
  const server = new FakeServer(plays(HELLO, "silence"));
  const stream = server.client.stream("agent-1", "Hello!", { timeoutMs: 50 });
  for await (const _ of stream) break;
  await passed(60);
  await rejects(numbers(stream), DeadlineExceededError);
  equal(server.attachedAfter.length, 0);
});

test("a stream that nobody reads any more holds neither its signal nor its process", async () => {
  const { signal } = new AbortController();
  const reading = { signal, timeoutMs: 60_000 };
  const server = new FakeServer(plays(HELLO, "silence"), plays(HELLO), plays([]));
  const timers = running();
  const left = server.client.stream("agent-1", "Hello!", reading);
  for await (const _ of left) {
    deepEqual([listeners(signal), running()], [1, timers]);
    break;
  }
  deepEqual([listeners(signal), running()], [0, timers]);
  await server.client.stream("agent-1", "Hello!", reading).final();
  deepEqual([listeners(signal), running()], [0, timers]);
  await rejects(server.client.stream("agent-1", "Hello!", reading).final(), /not implemented/);
  deepEqual([listeners(signal), running()], [0, timers]);
});

test("a signal that comes between two readings ends the second", async () => {
  const leaving = new AbortController();
  const server = new FakeServer(plays(HELLO, "silence"));
  const stream = server.client.stream("agent-1", "Hello!", { signal: leaving.signal });
  for await (const _ of stream) break;
  leaving.abort(new Error("I leave"));
  await rejects(numbers(stream), /I leave/);
});

for (const timeoutMs of [Infinity, 1e12, 2 ** 31]) {
  test(`${timeoutMs} ms are long`, async () => {
    const slow: Play = async function* () {
      // Longer than a timer of no time at all.
      await passed(20);
      yield { events: HELLO };
    };
    const stream = new FakeServer(slow).client.stream("agent-1", "Hello!", { timeoutMs, heartbeatMs: 1e11 });
    deepEqual(await numbers(stream), [1, 2, 3]);
  });
}

for (const timeoutMs of [NaN, -1]) {
  test(`${timeoutMs} ms are no time to read in`, () => {
    throws(() => new FakeServer().client.stream("agent-1", "Hello!", { timeoutMs }), InvalidRequestError);
  });
}

test("several may wait for the start while one reads", async () => {
  const server = new FakeServer(plays(HELLO));
  const stream = server.client.stream("agent-1", "Hello!");
  const [first, second, text] = await Promise.all([stream.started(), stream.started(), stream.text()]);
  deepEqual([first, second, text], ["run-1", "run-1", ""]);
  equal(server.starts.length, 1);
});

test("cancelling goes on reading to the end", async () => {
  const server = new FakeServer(plays([says(1, "Hel"), ends(2, RunState.CANCELLED)]));
  const stream = server.client.stream("agent-1", "Hello!");
  await stream.cancel();
  equal((await stream.final()).state, RunState.CANCELLED);
  deepEqual(
    server.cancels.map(({ runId }) => runId),
    ["run-1"],
  );
});

test("after an error the stream goes on where it stopped", async () => {
  const silent = { heartbeatMs: 10 };
  const cuts = Array.from({ length: DEFAULT_RETRY.streamAttempts }, () => plays([], "cut"));
  const server = new FakeServer(plays(HELLO.slice(0, 1), "cut"), ...cuts.slice(1), plays(HELLO.slice(1)));
  const stream = server.client.stream("agent-1", "Hello!", silent);
  await rejects(numbers(stream), /the link broke/);
  deepEqual(await numbers(stream), [2, 3]);
});

test("the text of a failed run is its error", async () => {
  const failed = ends(1, RunState.FAILED, {
    error: { reason: "MODEL_OVERLOADED", message: "too busy", metadata: { model: "m" } },
  });
  const stream = new FakeServer(plays([failed])).client.stream("agent-1", "Hello!");
  await rejects(stream.text(), (error) => {
    ok(error instanceof RunFailedError);
    deepEqual(
      [error.name, error.reason, error.message, error.metadata],
      ["RunFailedError", "MODEL_OVERLOADED", "too busy", { model: "m" }],
    );
    return true;
  });
});

test("text comes by pieces, whatever else happens", async () => {
  const step = event(2, { case: "stepStarted", value: { stepId: "s" } });
  const stream = new FakeServer(plays([says(1, "Hel"), step, says(3, "lo"), ends(4)])).client.stream("agent-1", "Hello!");
  const pieces = [];
  for await (const piece of stream.textDeltas()) pieces.push(piece);
  deepEqual(pieces, ["Hel", "lo"]);
});

test("closing the client closes its streams", async () => {
  const server = new FakeServer(plays(HELLO.slice(0, 1), "silence"));
  const stream = server.client.stream("agent-1", "Hello!");
  const reading = numbers(stream);
  await stream.started();
  await server.client.close();
  await reading;
  await rejects(stream.final(), StreamClosedError);
});

test("closing the client ends the reading of all its streams without an error", async () => {
  const server = new FakeServer(plays(HELLO.slice(0, 1), "silence"), plays(HELLO.slice(0, 1), "silence"));
  const streams = ["Hello!", "Hello again!"].map((text) => server.client.stream("agent-1", text));
  const readings = streams.map(numbers);
  for (const stream of streams) await stream.started();
  await server.client.close();
  equal((await Promise.all(readings)).length, 2);
});

test("a client that is closed refuses", async () => {
  const server = new FakeServer(plays(HELLO), plays(HELLO));
  const { client } = server;
  const stream = client.stream("agent-1", "Hello!");
  await stream.final();
  await client.close();
  await rejects(client.stream("agent-1", "Hello!").text(), ClientClosedError);
  await rejects(client.attach("run-1").final(), ClientClosedError);
  await rejects(client.runs.cancelRun({ runId: "run-1" }), ClientClosedError);
  await rejects(stream.cancel(), ClientClosedError);
  deepEqual([server.starts.length, server.attachedAfter.length, server.cancels.length], [1, 0, 0]);
});

test("a call that waits for a new try when its client is closed is not made again", async () => {
  let calls = 0;
  const fetch = async () => {
    calls += 1;
    void client.close();
    throw new TypeError("fetch failed");
  };
  const client = connect("http://gateway", { fetch, retry: { initialMs: 1 } });
  await rejects(client.agents.getAgent({ agentId: "a" }), ClientClosedError);
  equal(calls, 1);
});
