// Failures as the gateway tells them: a status, and `{"error": {"status", "message", "details"}}`.

import type { LettaError, StatusCode } from "../errors.js";
import { codeOf, errorOf } from "../statuses.js";

interface Told {
  status?: string;
  message?: string;
  details?: readonly Detail[];
}

/** The JSON of google.rpc's details: an ErrorInfo, a BadRequest or a RetryInfo, each with fields of its own. */
interface Detail {
  reason?: string;
  metadata?: Record<string, string>;
  fieldViolations?: readonly { field?: string; description?: string }[];
  retryDelay?: string;
}

// What a proxy's status means: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
const CODE_OF_STATUS: Readonly<Record<number, StatusCode>> = {
  400: "INTERNAL",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "UNIMPLEMENTED",
  429: "UNAVAILABLE",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "UNAVAILABLE",
};

/** Return what an answer with a status of failure says, be it the gateway's or that of something before it. */
export async function failureOf(response: Response): Promise<LettaError> {
  const body = await response.text().catch(() => "");
  const retryAfter = Number(response.headers.get("retry-after")) * 1000 || undefined;
  return (
    failureIn(body, retryAfter) ??
    errorOf(`status ${response.status}`, { code: CODE_OF_STATUS[response.status] ?? "UNKNOWN", retryDelayMs: retryAfter })
  );
}

/** Return the failure that a text tells; undefined if it tells none. */
export function failureIn(text: string, retryAfterMs?: number): LettaError | undefined {
  const told = parsed(text)?.error;
  if (!told?.status) return undefined;
  const details = told.details ?? [];
  const info = details.find((detail) => detail.reason !== undefined);
  const violations = details.flatMap((detail) => detail.fieldViolations ?? []);
  const delay = details.find((detail) => detail.retryDelay !== undefined)?.retryDelay;
  return errorOf(told.message ?? "", {
    code: codeOf(told.status),
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    fields: Object.fromEntries(violations.map(({ field = "", description = "" }) => [field, description])),
    retryDelayMs: delay === undefined ? retryAfterMs : Number.parseFloat(delay) * 1000,
  });
}

function parsed(text: string): { error?: Told } | undefined {
  try {
    return JSON.parse(text) as { error?: Told };
  } catch {
    return undefined;
  }
}
