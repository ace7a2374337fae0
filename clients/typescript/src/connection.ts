// How calls are made on a transport: each with the API key, a time limit, new tries where they do no harm, and typed errors.

import type { DescMessage, DescMethod, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { getOption, hasOption } from "@bufbuild/protobuf";
import type { ContextValues, StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import { ClientClosedError, DeadlineExceededError, InvalidRequestError } from "./errors.js";
import { http } from "./generated/google/api/annotations_pb.js";
import { RunService } from "./generated/letta_grpc/v1/run_service_pb.js";
import type { RetryPolicy } from "./retry.js";
import { Backoff, DEFAULT_RETRY } from "./retry.js";
import { errorFrom } from "./statuses.js";
import { pause, timeLimit } from "./waiting.js";

export interface ConnectionOptions {
  /** Sent as `authorization: Bearer` with every call. */
  apiKey?: string;
  /** How long a call may take (60 seconds; 0 or Infinity: no limit); streams and `execute` take as long as the run. */
  timeoutMs?: number;
  /** How patient the client is with what can be repeated without harm. */
  retry?: Partial<RetryPolicy>;
}

/** A call under way: what ends it, and what to do when it is over. */
interface Begun {
  readonly signal: AbortSignal;
  readonly over: () => void;
}

const NEVER = new AbortController().signal;

export class Connection implements Transport {
  /** Undefined for no limit. */
  readonly timeoutMs: number | undefined;
  readonly retry: RetryPolicy;
  readonly #transport: Transport;
  readonly #apiKey: string | undefined;
  readonly #calls = new Set<AbortController>();
  #isClosed = false;

  constructor(transport: Transport, { apiKey, timeoutMs = 60_000, retry }: ConnectionOptions) {
    this.#transport = transport;
    this.#apiKey = sendable(apiKey?.trim());
    this.timeoutMs = timeLimit(timeoutMs) || undefined;
    this.retry = { ...DEFAULT_RETRY, ...retry };
  }

  /** End the calls that wait for answers, and make none any more: a transport would connect again. */
  close(): void {
    this.#isClosed = true;
    for (const call of this.#calls) call.abort(closed());
  }

  /** Make a call; one that may be repeated without harm is, while the server is out of reach. `timeoutMs` 0: no limit. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal = NEVER,
    timeoutMs: number | undefined = this.timeoutMs,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    context?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const call = this.#begin(signal);
    try {
      return await this.#attempts(method, call.signal, timeoutMs, header, input, context);
    } finally {
      call.over();
    }
  }

  /** A call ends with the caller's signal, and with this connection. */
  #begin(signal: AbortSignal): Begun {
    const call = new AbortController();
    const over = () => {
      this.#calls.delete(call);
      signal.removeEventListener("abort", leave);
    };
    const leave = () => {
      over();
      call.abort(signal.reason);
    };
    this.#calls.add(call);
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave);
    return { signal: call.signal, over };
  }

  async #attempts<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    context: ContextValues | undefined,
  ): Promise<UnaryResponse<I, O>> {
    const limitMs = timeLimit(timeoutMs) ?? 0;
    const backoff = new Backoff(this.retry);
    const attempts = isRepeatable(method, input) ? this.retry.callAttempts : 1;
    for (;;) {
      this.#requireOpen();
      try {
        return await this.#transport.unary(method, signal, limitMs, this.#named(header), input, context);
      } catch (failure) {
        const error = typed(failure, signal);
        if (error instanceof DeadlineExceededError) throw backoff.late(error);
        await pause(backoff.delayAfter(error, attempts), signal);
      }
    }
  }

  /** Begin a streaming call. It has no time limit of its own: a run may take its time. */
  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal = NEVER,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    context?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    this.#requireOpen();
    const limitMs = timeLimit(timeoutMs);
    const call = this.#begin(signal);
    try {
      const response = await this.#transport.stream(method, call.signal, limitMs, this.#named(header), input, context);
      return { ...response, message: withTypedErrors(response.message, call) };
    } catch (failure) {
      call.over();
      throw typed(failure, call.signal);
    }
  }

  #requireOpen(): void {
    if (this.#isClosed) throw closed();
  }

  #named(header: HeadersInit | undefined): Headers {
    const headers = new Headers(header);
    if (this.#apiKey) headers.set("authorization", `Bearer ${this.#apiKey}`);
    return headers;
  }
}

function closed(): ClientClosedError {
  return new ClientClosedError("the client is closed");
}

/** Return a key that a header can carry. Throws for another; the header's own error would repeat the key. */
function sendable(key: string | undefined): string | undefined {
  if (key === undefined || /^[ -~]*$/.test(key)) return key;
  throw new InvalidRequestError("the API key has more than printable ASCII", { code: "INVALID_ARGUMENT" });
}

/** Whether a call does the same when it is made twice: it only reads, or what it starts has an id of the caller's. */
function isRepeatable(method: DescMethod, input: object): boolean {
  if (method === RunService.method.cancelRun) return true;
  if ("requestId" in input && input.requestId) return true;
  return hasOption(method, http) && getOption(method, http).pattern.case === "get";
}

/** Return what a call failed with: the signal's reason if it was the caller who ended it. */
function typed(failure: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  return failure instanceof ConnectError ? errorFrom(failure) : failure;
}

async function* withTypedErrors<T>(messages: AsyncIterable<T>, { signal, over }: Begun): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (failure) {
    throw typed(failure, signal);
  } finally {
    over();
  }
}
