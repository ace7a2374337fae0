// What others may rely on. A name that goes, goes here first.

import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import * as core from "letta-grpc";
import * as node from "letta-grpc/node";
import * as react from "letta-grpc/react";
import * as web from "letta-grpc/web";

const ERRORS = [
  "AlreadyExistsError",
  "ApprovalPendingError",
  "ClientClosedError",
  "ConflictError",
  "ConversationBusyError",
  "DeadlineExceededError",
  "EventsExpiredError",
  "ExhaustedError",
  "FailedPreconditionError",
  "InvalidRequestError",
  "LettaError",
  "NotFoundError",
  "OutOfRangeError",
  "PermissionDeniedError",
  "RunFailedError",
  "ServerError",
  "StreamBrokenError",
  "StreamClosedError",
  "UnauthenticatedError",
  "UnavailableError",
];
const ENUMS = ["ActionKind", "EventKind", "Role", "RunState", "StopReason", "ToolReturnStatus"];
const REST = [
  "Accumulator",
  "Client",
  "DEFAULT_RETRY",
  "RunStream",
  "answerMessages",
  "approve",
  "deny",
  "items",
  "textOf",
  "toolReturn",
];
const CORE = [...ERRORS, ...ENUMS, ...REST];

test("the names of each entry are known", () => {
  deepEqual(Object.keys(core), CORE.toSorted());
  deepEqual(Object.keys(node), [...CORE, "connect"].toSorted());
  deepEqual(Object.keys(web), [...CORE, "connect"].toSorted());
  deepEqual(Object.keys(react), ["AgentSession", "useAgentStream"]);
});

test("errors keep their names when classes are renamed by a bundler", () => {
  deepEqual(
    ERRORS.map((name) => Reflect.get(core, name).prototype.name),
    ERRORS,
  );
});
