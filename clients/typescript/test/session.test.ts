// What the hook is made of, without React; examples/react-chat shows it with.

import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ActionKind, DEFAULT_RETRY, InvalidRequestError, RunState } from "letta-grpc";
import { AgentSession } from "letta-grpc/react";
import { ends, event, FakeServer, type Play, plays, says } from "./support/fake_server.js";

const ACTIONS = ["call-1", "call-2"].map((toolCallId) => ({ toolCallId, kind: ActionKind.APPROVAL, name: "send" }));
const WAITS = [says(1, "May I?"), ends(2, RunState.INTERRUPTED, { pendingActions: ACTIONS })];
const GOES_ON = [event(1, { case: "runStarted", value: { run: { id: "run-2" } } }), ends(2)];

function session(server: FakeServer): AgentSession {
  return new AgentSession(server.client, "agent-1");
}

/** Wait until a state is as it should be. */
function until(subject: AgentSession, holds: (state: ReturnType<AgentSession["getState"]>) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!holds(subject.getState())) return;
      unsubscribe();
      resolve();
    };
    const unsubscribe = subject.subscribe(look);
    look();
  });
}

test("a turn streams, and is whole at its end", async () => {
  const subject = session(new FakeServer(plays([says(1, "Hel"), says(2, "lo"), ends(3)])));
  const run = subject.send("Hi");
  equal(subject.getState().isStreaming, true);
  await until(subject, ({ response }) => response.startsWith("Hel"));
  equal((await run)?.state, RunState.COMPLETED);
  const { response, events, isStreaming, error } = subject.getState();
  deepEqual([response, events.length, isStreaming, error], ["Hello", 3, false, null]);
});

test("the state is the same object until something changes", async () => {
  const subject = session(new FakeServer(plays([ends(1)])));
  const before = subject.getState();
  equal(subject.getState(), before);
  await subject.send("Hi");
  const after = subject.getState();
  ok(after !== before);
  equal(subject.getState(), after);
});

test("while a turn is under way nothing else is sent", async () => {
  const server = new FakeServer(plays([ends(1)]));
  const subject = session(server);
  const [first, second] = await Promise.all([subject.send("Hi"), subject.send("Hi again")]);
  ok(first && !second);
  equal(server.starts.length, 1);
});

test("approving answers all calls that wait, and the turn goes on", async () => {
  const server = new FakeServer(plays(WAITS), plays(GOES_ON));
  const subject = session(server);
  await subject.send("Send it");
  equal(subject.getState().pending.length, 2);
  await subject.approve();
  deepEqual(subject.getState().pending, []);
  equal(subject.getState().events.length, 4);
  const { kind } = server.starts[1]!.run!.messages[0]!;
  ok(kind.case === "approval");
  deepEqual(
    kind.value.decisions.map(({ toolCallId, kind: { case: decided } }) => [toolCallId, decided]),
    [
      ["call-1", "approve"],
      ["call-2", "approve"],
    ],
  );
});

test("one call may be denied by its id, with a reason", async () => {
  const server = new FakeServer(plays(WAITS), plays(GOES_ON));
  const subject = session(server);
  await subject.send("Send it");
  await subject.deny({ toolCallId: "call-2", reason: "too dear" });
  const { kind } = server.starts[1]!.run!.messages[0]!;
  ok(kind.case === "approval" && kind.value.decisions[0]!.kind.case === "deny");
  deepEqual([kind.value.decisions.length, kind.value.decisions[0]!.kind.value.reason], [1, "too dear"]);
});

test("a message instead of an answer gives the calls up", async () => {
  const server = new FakeServer(plays(WAITS), plays(GOES_ON));
  const subject = session(server);
  await subject.send("Send it");
  await subject.send("Never mind");
  deepEqual(
    server.starts.map(({ run }) => run!.conflictPolicy),
    [0, 3],
  );
});

test("stop cancels, and what was said stays", async () => {
  const server = new FakeServer(plays([says(1, "I th"), ends(2, RunState.CANCELLED)]));
  const subject = session(server);
  const run = subject.send("Hi");
  await subject.stop();
  equal((await run)?.state, RunState.CANCELLED);
  equal(server.cancels.length, 1);
  deepEqual([subject.getState().response, subject.getState().error], ["I th", null]);
});

test("a run that failed, and a call that did, are errors; the next turn has none", async () => {
  const failed = ends(1, RunState.FAILED, { error: { reason: "MODEL_OVERLOADED", message: "too busy" } });
  const cuts = Array.from({ length: DEFAULT_RETRY.streamAttempts }, () => plays([], "cut"));
  const subject = session(new FakeServer(plays([failed]), ...cuts, plays([ends(1)])));
  await subject.send("Hi");
  equal(subject.getState().error?.message, "too busy");
  await subject.send("Hi");
  equal(subject.getState().error?.message, "the link broke");
  await subject.send("Hi");
  equal(subject.getState().error, null);
});

test("a message that starts no run leaves the calls waiting", async () => {
  const refused: Play = async function* ({ responseHeader }) {
    responseHeader.delete("letta-run-id");
    yield* [];
    throw new ConnectError("the server is away", Code.Unavailable);
  };
  const tries = Array.from({ length: DEFAULT_RETRY.callAttempts }, () => refused);
  const server = new FakeServer(plays(WAITS), ...tries, plays(GOES_ON));
  const subject = session(server);
  await subject.send("Send it");
  const before = subject.getState();
  await subject.send("Never mind");
  const { error, events, pending, response, run } = subject.getState();
  equal(error?.message, "the server is away");
  deepEqual([events, pending, response, run], [before.events, before.pending, "May I?", before.run]);
  equal((await subject.approve())?.state, RunState.COMPLETED);
});

test("what cannot be sent is an error of the turn, as any other failure is", async () => {
  const server = new FakeServer(plays(WAITS), plays(GOES_ON));
  const subject = session(server);
  await subject.send("Send it");
  equal(await subject.send("Hi", { runTimeoutMs: NaN }), undefined);
  const { error, isStreaming, pending } = subject.getState();
  ok(error instanceof InvalidRequestError);
  deepEqual([isStreaming, pending.length], [false, 2]);
  ok(await subject.approve());
});

test("a session that is left reads no further, tells nobody, and can be used again", async () => {
  const server = new FakeServer(plays([says(1, "Hel")], "silence"), plays([ends(1)]));
  const subject = session(server);
  const run = subject.send("Hi");
  await until(subject, ({ response }) => response === "Hel");
  let told = 0;
  subject.subscribe(() => (told += 1));
  subject.leave();
  equal(await run, undefined);
  await server.quiet();
  deepEqual([told, server.cancels.length], [0, 0]);
  deepEqual([subject.getState().isStreaming, subject.getState().error], [false, null]);
  equal((await subject.send("Hi"))?.state, RunState.COMPLETED);
});

test("a run that an earlier page has left is found again", async () => {
  const server = new FakeServer(plays([says(1, "Hel"), says(2, "lo"), ends(3)]));
  const subject = session(server);
  await subject.attach("run-1");
  deepEqual([subject.getState().response, server.attachedAfter], ["Hello", [0]]);
});
