// What an error says of itself.

import { equal } from "node:assert/strict";
import { test } from "node:test";
import { ConversationBusyError, LettaError, NotFoundError } from "letta-grpc";

const TOLD: readonly (readonly [message: string, metadata: Record<string, string>, told: string])[] = [
  [
    "it is busy",
    { conversation_id: "conv-1", active_run_id: "run-1" },
    "(WHY, active_run_id=run-1, conversation_id=conv-1)",
  ],
  ["it has no such block", { label: "human", agent_id: "agent-1" }, "(WHY, agent_id=agent-1, label=human)"],
  ["the name 'dice' is taken", { name: "dice" }, "(WHY)"],
  ["too many wait", { limit: "64", run_id: "" }, "(WHY)"],
];

for (const [message, metadata, told] of TOLD) {
  test(`an error says which thing it is about unless its message does: ${message}`, () => {
    const error = new ConversationBusyError(message, { code: "ABORTED", reason: "WHY", metadata });
    equal(String(error), `ConversationBusyError: ${message} ${told}`);
    equal(error.message, message);
  });
}

test("an error without a reason says its code, and one without a code nothing", () => {
  equal(String(new NotFoundError("gone", { code: "NOT_FOUND" })), "NotFoundError: gone (NOT_FOUND)");
  equal(String(new LettaError("it was closed")), "LettaError: it was closed");
});
