// From a failed call to an error: google.rpc.Status and its details, read once.

import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import type { LettaError, StatusCode } from "./errors.js";
import { errorOf } from "./errors.js";
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

/** Return the code of a name, as the gateway tells it; UNKNOWN for one that nobody knows. */
export function codeOf(name: unknown): StatusCode {
  return CODES.find((code) => code === name) ?? "UNKNOWN";
}

/** Return the error that a failed call stands for. */
export function errorFrom(failed: ConnectError): LettaError {
  const [info] = failed.findDetails(ErrorInfoSchema);
  const [retry] = failed.findDetails(RetryInfoSchema);
  const violations = failed.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  return errorOf(failed.rawMessage, {
    code: CODES[failed.code] ?? "UNKNOWN",
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    fields: Object.fromEntries(violations.map(({ field, description }) => [field, description])),
    retryDelayMs: retry?.retryDelay && durationMs(retry.retryDelay),
    cause: failed,
  });
}
