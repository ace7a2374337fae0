// What events add up to.

import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Accumulator, textOf } from "letta-grpc";
import { MessageSchema, OutputStream, Role, type RunEvent } from "letta-grpc/v1";
import { ends, event, type Payload, says } from "./support/fake_server.js";

function folded(...payloads: (Payload | RunEvent)[]): Accumulator {
  const sum = new Accumulator();
  for (const one of payloads) sum.add(one && "$typeName" in one ? (one as RunEvent) : event(1, one as Payload));
  return sum;
}

function completed(id: string, text: string): Payload {
  const content = [{ kind: { case: "text" as const, value: text } }];
  return { case: "messageCompleted", value: { message: create(MessageSchema, { id, role: Role.ASSISTANT, content }) } };
}

test("what is being written is there as far as it has come, and a completed message takes its place", () => {
  const sum = folded(says(1, "Hel"), says(2, "lo"), completed("n", "Later."));
  deepEqual([sum.text, sum.textSoFar], ["Later.", "Hello\n\nLater."]);
  sum.add(event(3, completed("m", "Hello!")));
  sum.add(says(4, " A delta that comes late."));
  deepEqual([sum.text, sum.textSoFar], ["Hello!\n\nLater.", "Hello!\n\nLater."]);
});

test("a restarted step takes back what its void messages had said", () => {
  const sum = folded(completed("k", "Kept."), says(1, "Hel"), { case: "stepRestarted", value: { voidMessageIds: ["m"] } });
  equal(sum.textSoFar, "Kept.");
});

test("reasoning and calls are parts of a message, by their order", () => {
  const call = { messageId: "m", toolCallId: "c", name: "send" };
  const sum = folded(
    { case: "reasoningDelta", value: { messageId: "m", text: "Hm." } },
    { case: "textDelta", value: { messageId: "m", contentIndex: 1, text: "b" } },
    { case: "textDelta", value: { messageId: "m", contentIndex: 0, text: "a" } },
    { case: "toolCallDelta", value: { ...call, arguments: '{"to":' } },
    { case: "toolCallDelta", value: { ...call, arguments: '"Bob"}' } },
  );
  const [message] = sum.messagesSoFar;
  deepEqual(
    message!.content.map(({ kind }) => kind.value),
    ["Hm.", "a", "b"],
  );
  deepEqual([textOf(message!), message!.toolCalls[0]!.arguments], ["ab", '{"to":"Bob"}']);
});

test("what a tool writes begins anew when it is run once more", () => {
  const writes = (stream: OutputStream, text: string): Payload => ({
    case: "toolOutputDelta",
    value: { toolCallId: "c", stream, text },
  });
  const starts: Payload = { case: "toolExecutionStarted", value: { toolCallId: "c" } };
  const sum = folded(
    starts,
    writes(OutputStream.STDOUT, "lost"),
    starts,
    writes(OutputStream.STDOUT, "out"),
    writes(OutputStream.STDERR, "err"),
  );
  deepEqual(sum.toolOutput.get("c"), { stdout: "out", stderr: "err" });
});

test("kinds without a meaning for messages, unknown ones too, change nothing", () => {
  const sum = folded({ case: undefined }, { case: "heartbeat", value: {} }, { case: "custom", value: { name: "x" } }, ends(1));
  deepEqual([sum.messagesSoFar, sum.run?.id], [[], "run-1"]);
});
