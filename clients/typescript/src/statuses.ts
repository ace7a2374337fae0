// From a failed call to an error: google.rpc.Status and its details, read once.

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  AlreadyExistsError,
  ApprovalPendingError,
  ConflictError,
  ConversationBusyError,
  DeadlineExceededError,
  EventsExpiredError,
  ExhaustedError,
  FailedPreconditionError,
  type Failure,
  InvalidRequestError,
  type LettaError,
  NotFoundError,
  OutOfRangeError,
  PermissionDeniedError,
  type Reason,
  ServerError,
  type StatusCode,
  UnauthenticatedError,
  UnavailableError,
} from "./errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./generated/google/rpc/error_details_pb.js";

/** By number: https://grpc.io/docs/guides/status-codes/. */
const CODES: readonly StatusCode[] = [
  "UNKNOWN", // OK is no failure
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

// What Connect calls the failures of a connection that it does not know better.
const NO_CONNECTION: ReadonlySet<Code> = new Set([Code.Aborted, Code.Internal]);

const BY_CODE: Record<StatusCode, typeof LettaError> = {
  CANCELLED: UnavailableError,
  UNKNOWN: ServerError,
  INVALID_ARGUMENT: InvalidRequestError,
  DEADLINE_EXCEEDED: DeadlineExceededError,
  NOT_FOUND: NotFoundError,
  ALREADY_EXISTS: AlreadyExistsError,
  PERMISSION_DENIED: PermissionDeniedError,
  RESOURCE_EXHAUSTED: ExhaustedError,
  FAILED_PRECONDITION: FailedPreconditionError,
  ABORTED: ConflictError,
  OUT_OF_RANGE: OutOfRangeError,
  UNIMPLEMENTED: ServerError,
  INTERNAL: ServerError,
  UNAVAILABLE: UnavailableError,
  DATA_LOSS: UnavailableError,
  UNAUTHENTICATED: UnauthenticatedError,
};
const BY_REASON: Partial<Record<Reason, typeof LettaError>> = {
  CONVERSATION_BUSY: ConversationBusyError,
  APPROVAL_PENDING: ApprovalPendingError,
  EVENTS_EXPIRED: EventsExpiredError,
  STREAM_RECYCLED: UnavailableError,
};

/** Return the code of a name, as the gateway tells it; UNKNOWN for one that nobody knows. */
export function codeOf(name: unknown): StatusCode {
  return CODES.find((code) => code === name) ?? "UNKNOWN";
}

// What Connect says of a request that has no binary form: no server has seen it, and another try would fail alike.
const NO_REQUEST = "serialize binary: ";

/** Return the error that a failed gRPC call stands for. */
export function errorFrom(failed: ConnectError): LettaError {
  if (failed.rawMessage.startsWith(NO_REQUEST)) {
    return errorOf(failed.rawMessage.slice(NO_REQUEST.length), { code: "INVALID_ARGUMENT", cause: failed });
  }
  const [info] = failed.findDetails(ErrorInfoSchema);
  const [retry] = failed.findDetails(RetryInfoSchema);
  const violations = failed.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  return errorOf(failed.rawMessage, {
    code: isOfNode(failed.cause) && NO_CONNECTION.has(failed.code) ? "UNAVAILABLE" : (CODES[failed.code] ?? "UNKNOWN"),
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    fields: Object.fromEntries(violations.map(({ field, description }) => [field, description])),
    retryDelayMs: retry?.retryDelay && durationMs(retry.retryDelay),
    cause: failed,
  });
}

/** Tell whether a failure is Node's own, as of a certificate that nobody has signed: then no server has said anything. */
function isOfNode(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string";
}

/** Return the error of the class that code and reason have. */
export function errorOf(message: string, failure: Failure & { code: StatusCode }): LettaError {
  const kind = BY_REASON[failure.reason ?? ""] ?? BY_CODE[failure.code];
  return new kind(message || failure.code.replaceAll("_", " ").toLowerCase(), failure);
}
