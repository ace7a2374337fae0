// What does not depend on how the server is reached. `letta-grpc/node` and `letta-grpc/web` have all of it, and `connect`.

export { Accumulator, textOf, type ToolOutput } from "./accumulator.js";
export { type Answer, answerMessages, type Answers, approve, deny, toolReturn, type ToolReturnOptions } from "./answers.js";
export { Client, items } from "./client.js";
export type { ConnectionOptions } from "./connection.js";
export * from "./errors.js";
export type { Input, Inputs, ReadOptions, RunOptions } from "./requests.js";
export { DEFAULT_RETRY, type RetryPolicy } from "./retry.js";
export { RunStream } from "./stream.js";
export { EventKind, type RunEvent } from "./generated/letta_grpc/v1/events_pb.js";
export { type Message, Role, type ToolReturn, ToolReturnStatus } from "./generated/letta_grpc/v1/messages_pb.js";
export { ActionKind, type PendingAction, type Run, RunState, StopReason } from "./generated/letta_grpc/v1/runs_pb.js";
