// Calls as the gateway takes them: ProtoJSON over fetch, streams as server-sent events. The routes come from the contract, so
// every RPC but the bidirectional one has its form here, with no line about it.

import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromJson } from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { DeadlineExceededError, LettaError, UnavailableError } from "../errors.js";
import { failureIn, failureOf } from "./failures.js";
import { FrameParser } from "./frames.js";
import { type HttpRequest, requestOf } from "./routes.js";
import { Unrolled } from "./unrolled.js";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export class GatewayTransport implements Transport {
  constructor(
    private readonly baseUrl: string,
    private readonly fetch: Fetch,
  ) {}

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    const line = new Line(signal, timeoutMs);
    try {
      const response = await this.#send(requestOf(method, input), header, "application/json", line);
      const json = await line.guarded(response.json());
      const message = fromJson(method.output, json, { ignoreUnknownFields: true });
      return { stream: false, service: method.parent, method, header: response.headers, trailer: new Headers(), message };
    } finally {
      line.release();
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    const line = new Line(signal, timeoutMs);
    try {
      const response = await this.#send(requestOf(method, await first(method.input, input)), header, "text/event-stream", line);
      const message = responses(method.output, response, line);
      return { stream: true, service: method.parent, method, header: response.headers, trailer: new Headers(), message };
    } catch (error) {
      line.release();
      throw error;
    }
  }

  async #send(request: HttpRequest, header: HeadersInit | undefined, accept: string, line: Line): Promise<Response> {
    const headers = new Headers(header);
    headers.set("accept", accept);
    if (request.lastEventId !== undefined) headers.set("last-event-id", request.lastEventId);
    if (request.body !== undefined) headers.set("content-type", "application/json");
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    const init: RequestInit = { method: request.verb, headers, body, signal: line.signal, cache: "no-store" };
    const response = await line.guarded(this.fetch(`${this.baseUrl}/api${request.path}`, init));
    if (!response.ok) throw await failureOf(response);
    return response;
  }
}

/** Ends a call when the caller leaves or its time is over, and says which of it was the failure. */
class Line {
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #isLate = false;

  constructor(
    private readonly outer: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ) {
    if (timeoutMs) this.#timer = setTimeout(this.#late, timeoutMs);
    if (outer?.aborted) this.#leave();
    else outer?.addEventListener("abort", this.#leave);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async guarded<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (this.#isLate) throw new DeadlineExceededError("no answer in time", { code: "DEADLINE_EXCEEDED" });
      if (this.outer?.aborted) throw this.outer.reason;
      throw new UnavailableError("the connection failed", { code: "UNAVAILABLE", cause: error });
    }
  }

  release(): void {
    clearTimeout(this.#timer);
    this.outer?.removeEventListener("abort", this.#leave);
  }

  readonly #leave = (): void => this.#controller.abort();
  readonly #late = (): void => {
    this.#isLate = true;
    this.#controller.abort();
  };
}

async function* responses<O extends DescMessage>(output: O, response: Response, line: Line): AsyncGenerator<MessageShape<O>> {
  const parser = new FrameParser();
  const unrolled = new Unrolled(output);
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const { done, value } = reader ? await line.guarded(reader.read()) : { done: true, value: undefined };
      if (done || !value) return;
      for (const frame of parser.push(value)) {
        if (frame.event === "error")
          throw failureIn(frame.data ?? "") ?? new LettaError("the stream failed", { code: "UNKNOWN" });
        const message = unrolled.of(frame);
        if (message) yield message;
      }
    }
  } finally {
    line.release();
    await reader?.cancel().catch(() => {});
  }
}

async function first<I extends DescMessage>(kind: I, input: AsyncIterable<MessageInitShape<I>>): Promise<MessageInitShape<I>> {
  for await (const message of input) return message;
  return create(kind) as MessageInitShape<I>;
}
