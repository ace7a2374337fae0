// One streaming call, from its start to its first failure or its end.

import { createAsyncIterable } from "@connectrpc/connect/protocol";
import type { Connection } from "./connection.js";
import { StreamBrokenError } from "./errors.js";
import type {
  AttachRunRequest,
  AttachRunResponse,
  StreamRunRequest,
  StreamRunResponse,
} from "./generated/letta_grpc/v1/run_service_pb.js";
import { RunService } from "./generated/letta_grpc/v1/run_service_pb.js";
import { within } from "./waiting.js";

export type Follow = StreamRunRequest | AttachRunRequest;
export type Followed = StreamRunResponse | AttachRunResponse;

const RUN_ID = "letta-run-id";

export class EventCall {
  readonly #line = new AbortController();
  readonly #opened: Promise<{ header: Headers; message: AsyncIterable<Followed> }>;
  #messages: AsyncIterator<Followed> | undefined;

  constructor(connection: Connection, request: Follow) {
    const { signal } = this.#line;
    this.#opened =
      request.$typeName === "letta_grpc.v1.StreamRunRequest"
        ? connection.stream(RunService.method.streamRun, signal, undefined, undefined, createAsyncIterable([request]))
        : connection.stream(RunService.method.attachRun, signal, undefined, undefined, createAsyncIterable([request]));
    // Whoever waits is told; without a waiter it is nobody's failure.
    this.#opened.catch(() => {});
  }

  /** Wait until the call is accepted; return its run's id. */
  async runId(signal: AbortSignal, limitMs: number | undefined): Promise<string> {
    const { header, message } = await within(this.#opened, signal, limitMs, silent(limitMs));
    this.#messages = message[Symbol.asyncIterator]();
    return header.get(RUN_ID) ?? "";
  }

  /** Return the next response; undefined behind the last one of a call that ended OK. */
  async read(signal: AbortSignal, limitMs: number | undefined): Promise<Followed | undefined> {
    const next = this.#messages!.next();
    const { done, value } = await within(next, signal, limitMs, silent(limitMs));
    return done ? undefined : value;
  }

  /** End the call for good. */
  close(): void {
    this.#line.abort();
    void this.#messages?.return?.().catch(() => {});
  }
}

function silent(limitMs: number | undefined): () => Error {
  return () => new StreamBrokenError(`no word from the server for ${limitMs} ms`);
}
