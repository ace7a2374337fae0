// What can go wrong. Every class says whose fault it is; `reason` is the server's word for it, `metadata` its facts.
//
//   LettaError               .code .reason .message .metadata .fields .retryDelayMs .isRetryable
//   ├── InvalidRequestError        the request breaks a rule (.fields)
//   ├── UnauthenticatedError · PermissionDeniedError
//   ├── NotFoundError · AlreadyExistsError
//   ├── ConflictError              ConversationBusyError (.activeRunId)
//   ├── FailedPreconditionError    ApprovalPendingError (.runId, .toolCallIds)
//   ├── OutOfRangeError (.last)    EventsExpiredError (.oldest)
//   ├── ExhaustedError
//   ├── UnavailableError           out of reach, stopping, or the connection broke
//   │   └── StreamBrokenError      a stream fell silent, left events out or ended too early
//   ├── DeadlineExceededError      no answer within the time given
//   ├── ServerError                a fault of the server's
//   ├── ClientClosedError          the caller closed the client that it asks
//   ├── StreamClosedError          the caller closed the stream that it asks
//   └── RunFailedError             the run ended FAILED (.run); thrown by `text()` alone

import type { ErrorReason } from "./generated/letta_grpc/v1/errors_pb.js";
import type { Run } from "./generated/letta_grpc/v1/runs_pb.js";

/** The status of a call, by its gRPC name. */
export type StatusCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** The reasons of the contract, and whatever a newer server says. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED"> | (string & {});

/** What a failed call told. */
export interface Failure {
  code?: StatusCode | undefined;
  reason?: Reason;
  metadata?: Readonly<Record<string, string>>;
  /** What is wrong with the request, by the path of the field. */
  fields?: Readonly<Record<string, string>>;
  retryDelayMs?: number | undefined;
  cause?: unknown;
}

// What proxies, connections and crashed servers send: no word of our server's, so another try may meet a healthy one.
const BROKEN_CONNECTION: ReadonlySet<StatusCode | undefined> = new Set<StatusCode>([
  "ABORTED",
  "CANCELLED",
  "DATA_LOSS",
  "DEADLINE_EXCEEDED",
  "INTERNAL",
  "UNKNOWN",
]);
const PASSING_REASONS: ReadonlySet<Reason> = new Set<Reason>(["STREAM_RECYCLED", "TOO_MANY_STREAMS"]);
// How entries of metadata end that name a thing.
const NAME_OF_THING = /(_ids?|name|label)$/;

/** A call failed. */
export class LettaError extends Error {
  /** Undefined where no call failed: a run did, or the caller closed its stream or client. */
  readonly code: StatusCode | undefined;
  /** Empty where the server gave none. */
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
  /** How long the server asks to wait before another try; undefined where it says nothing. */
  readonly retryDelayMs: number | undefined;

  constructor(message: string, failure: Failure = {}) {
    super(message, "cause" in failure ? { cause: failure.cause } : undefined);
    this.code = failure.code;
    this.reason = failure.reason ?? "";
    this.metadata = failure.metadata ?? {};
    this.fields = failure.fields ?? {};
    this.retryDelayMs = failure.retryDelayMs;
  }

  /** Whether the same call may succeed when it is made again. */
  get isRetryable(): boolean {
    if (this.code === "UNAVAILABLE" || PASSING_REASONS.has(this.reason)) return true;
    return !this.reason && BROKEN_CONNECTION.has(this.code);
  }

  /** Its name and message, the server's word for it, or the code's, and which things it is about. */
  override toString(): string {
    const told = [this.reason || this.code, ...thingsOf(this)].filter(Boolean).join(", ");
    return told ? `${super.toString()} (${told})` : super.toString();
  }
}

/** Return which agent, run or tool it is about, unless the message says so. Other facts are for programs. */
function thingsOf({ message, metadata }: LettaError): string[] {
  return Object.keys(metadata)
    .sort()
    .filter((name) => NAME_OF_THING.test(name) && !message.includes(metadata[name]!))
    .map((name) => `${name}=${metadata[name]}`);
}

export class InvalidRequestError extends LettaError {}
export class UnauthenticatedError extends LettaError {}
export class PermissionDeniedError extends LettaError {}
export class NotFoundError extends LettaError {}
export class AlreadyExistsError extends LettaError {}
export class ConflictError extends LettaError {}
export class FailedPreconditionError extends LettaError {}
export class ExhaustedError extends LettaError {}
export class UnavailableError extends LettaError {}
export class DeadlineExceededError extends LettaError {}
export class ServerError extends LettaError {}
export class ClientClosedError extends LettaError {}
export class StreamClosedError extends LettaError {}

/** The conversation has an active run. */
export class ConversationBusyError extends ConflictError {
  get activeRunId(): string {
    return this.metadata["active_run_id"] ?? "";
  }
}

/** Tool calls of the conversation wait for answers: see `Client.answer`. */
export class ApprovalPendingError extends FailedPreconditionError {
  get runId(): string {
    return this.metadata["run_id"] ?? "";
  }

  get toolCallIds(): readonly string[] {
    return (this.metadata["tool_call_ids"] ?? "").split(",").filter(Boolean);
  }
}

export class OutOfRangeError extends LettaError {
  /** The number of the run's last event. */
  get last(): number {
    return Number(this.metadata["last"] ?? 0);
  }
}

/** The events after the given number are no longer kept; the run and its messages are. */
export class EventsExpiredError extends OutOfRangeError {
  /** The number of the oldest event that is kept; 0 if none is. */
  get oldest(): number {
    return Number(this.metadata["oldest"] ?? 0);
  }
}

export class StreamBrokenError extends UnavailableError {
  constructor(message: string) {
    super(message, { code: "UNAVAILABLE" });
  }
}

/** The run ended FAILED. `reason`, `message` and `metadata` are those of the run's error. */
export class RunFailedError extends LettaError {
  constructor(readonly run: Run) {
    super(run.error?.message || "the run failed", { reason: run.error?.reason ?? "", metadata: run.error?.metadata ?? {} });
  }
}

// Spelled out, because bundlers rename classes.
const NAMES = {
  LettaError,
  InvalidRequestError,
  UnauthenticatedError,
  PermissionDeniedError,
  NotFoundError,
  AlreadyExistsError,
  ConflictError,
  ConversationBusyError,
  FailedPreconditionError,
  ApprovalPendingError,
  OutOfRangeError,
  EventsExpiredError,
  ExhaustedError,
  UnavailableError,
  StreamBrokenError,
  DeadlineExceededError,
  ServerError,
  ClientClosedError,
  StreamClosedError,
  RunFailedError,
};
for (const [name, kind] of Object.entries(NAMES)) kind.prototype.name = name;
