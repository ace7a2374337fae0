/// <reference lib="esnext.disposable" preserve="true" />
// With it the types are whole for those, too, whose own settings know no AsyncDisposable.
// A run's events, followed across any number of broken connections.

import { create } from "@bufbuild/protobuf";
import { Accumulator } from "./accumulator.js";
import type { Connection } from "./connection.js";
import { Cursor } from "./cursor.js";
import { DeadlineExceededError, RunFailedError, StreamBrokenError, StreamClosedError } from "./errors.js";
import { EventCall, type Follow } from "./event_call.js";
import type { RunEvent } from "./generated/letta_grpc/v1/events_pb.js";
import type { Message } from "./generated/letta_grpc/v1/messages_pb.js";
import { AttachRunRequestSchema, RunService, type StreamOptions } from "./generated/letta_grpc/v1/run_service_pb.js";
import { type PendingAction, type Run, RunState } from "./generated/letta_grpc/v1/runs_pb.js";
import { isFiltered, type ReadOptions, silenceLimitMs } from "./requests.js";
import { Backoff } from "./retry.js";
import { pause, quietAlarm, timeLimit } from "./waiting.js";

const FINAL_STATES: ReadonlySet<RunState> = new Set([
  RunState.COMPLETED,
  RunState.INTERRUPTED,
  RunState.FAILED,
  RunState.CANCELLED,
]);
// How long the status may take to come behind the run's last event.
const FAREWELL_MS = 5_000;

/**
 * The events of one run, each exactly once and in order.
 *
 * Iterating yields events until the run has finished. When the connection breaks, falls silent, or leaves something out, the
 * stream attaches again behind the last event it has. It gives up, and rejects, on an error that no new try helps, or after the
 * retry policy's attempts without progress; iterating once more then goes on where it stopped, as it does after a `break`.
 *
 * The run starts with the first use of its stream. Leaving the stream, in whatever way, ends the reading and not the run. One
 * reader at a time; `started`, `cancel` and `close` may be called beside it.
 */
export class RunStream implements AsyncIterableIterator<RunEvent, undefined>, AsyncDisposable {
  /** What the events handed on up to now add up to. */
  readonly soFar = new Accumulator();
  readonly #connection: Connection;
  readonly #request: Follow;
  readonly #options: StreamOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #limitMs: number | undefined;
  readonly #cursor: Cursor;
  readonly #silenceMs: number | undefined;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  readonly #waiting: RunEvent[] = [];
  #runId = "";
  #after = 0;
  #call: EventCall | undefined;
  #step: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #deadline: number | undefined;
  #returns = 0;
  #isWatched = false;
  #isEnded = false;
  #isClosed = false;

  /** Made by `Client`. */
  constructor(
    connection: Connection,
    request: Follow,
    options: StreamOptions,
    reading: Pick<ReadOptions, "signal" | "timeoutMs">,
  ) {
    this.#connection = connection;
    this.#request = request;
    this.#options = options;
    this.#signal = reading.signal;
    this.#limitMs = timeLimit(reading.timeoutMs);
    if (request.$typeName === "letta_grpc.v1.AttachRunRequest") {
      this.#runId = request.runId;
      this.#after = request.afterSequenceNumber;
    }
    this.#cursor = new Cursor(this.#after, isFiltered(options));
    this.#silenceMs = silenceLimitMs(options);
    this.#backoff = new Backoff(connection.retry);
  }

  /** The run; empty until the server has accepted it: see `started`. */
  get runId(): string {
    return this.#runId;
  }

  /** The number of the last event handed on: `attach` after it goes on from here, in another process too. */
  get lastSequenceNumber(): number {
    return this.#after;
  }

  /** The calls that wait for answers, once the run has ended because of them: see `Client.answer`. */
  get pendingActions(): readonly PendingAction[] {
    return this.soFar.pendingActions;
  }

  /** Wait until the server has accepted the run; return its id. */
  async started(): Promise<string> {
    while (!this.#runId) {
      this.#requireOpen();
      await this.#advance();
    }
    return this.#runId;
  }

  async next(): Promise<IteratorResult<RunEvent, undefined>> {
    const returns = this.#returns;
    while (!this.#isClosed && returns === this.#returns) {
      this.#watch();
      this.#stop.signal.throwIfAborted();
      const event = this.#waiting.shift();
      if (event) return { done: false, value: this.#handOn(event) };
      if (this.#isEnded) break;
      await this.#advance();
    }
    return { done: true, value: undefined };
  }

  /** What `break` does: the connection is let go of, and the place is kept. */
  async return(): Promise<IteratorResult<RunEvent, undefined>> {
    this.#returns += 1;
    this.#hangUp();
    this.#letGo();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Yield the text as it comes. Should a step be restarted, what it had said is said again. */
  async *textDeltas(): AsyncGenerator<string, void, undefined> {
    for await (const { payload } of this) if (payload.case === "textDelta") yield payload.value.text;
  }

  /** Read to the end; return the run as it ended, whatever its state. */
  async final(): Promise<Run> {
    for (;;) if ((await this.next()).done) break;
    const { run } = this.soFar;
    if (run && FINAL_STATES.has(run.state)) return run;
    this.#requireOpen();
    throw new StreamBrokenError("the stream ended before the run did");
  }

  /** Read to the end; return the messages that were completed on this stream. */
  async messages(): Promise<readonly Message[]> {
    await this.final();
    return this.soFar.messages;
  }

  /**
   * Read to the end; return the texts of the completed assistant messages, with a blank line between them. Rejects with
   * RunFailedError if the run FAILED; what a cancelled run had said is returned.
   */
  async text(): Promise<string> {
    const run = await this.final();
    if (run.state === RunState.FAILED) throw new RunFailedError(run);
    return this.soFar.text;
  }

  /** Ask the run to end, for everyone; return it as it is. The stream goes on until the run has ended. */
  async cancel(): Promise<Run> {
    const runId = await this.started();
    const { message } = await this.#connection.unary(RunService.method.cancelRun, undefined, undefined, undefined, { runId });
    return message.run!;
  }

  /** Stop following; the run goes on. Does nothing when the stream has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop.abort();
    this.#hangUp();
    this.#letGo();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #handOn(event: RunEvent): RunEvent {
    this.#after = event.sequenceNumber;
    this.soFar.add(event);
    return event;
  }

  /** Take one step; who asks while one is being taken waits for that. */
  #advance(): Promise<void> {
    this.#step ??= this.#take()
      .catch(this.#giveUp)
      .finally(() => (this.#step = undefined));
    return this.#step;
  }

  /** Dial, or read one response, or wait after a failure. */
  async #take(): Promise<void> {
    this.#watch();
    const returns = this.#returns;
    try {
      this.#stop.signal.throwIfAborted();
      await (this.#call ? this.#read(this.#call) : this.#dial());
    } catch (error) {
      this.#hangUp();
      if (this.#isClosed || this.#isEnded) return;
      this.#stop.signal.throwIfAborted();
      // It was this side that hung up: no failure.
      if (returns !== this.#returns) return;
      const { callAttempts, streamAttempts } = this.#connection.retry;
      // Until the run is accepted the caller waits for an answer, not for a stream.
      const delay = this.#backoff.delayAfter(error, this.#runId ? streamAttempts : callAttempts);
      await pause(delay, this.#stop.signal).catch((reason: unknown) => {
        if (!this.#isClosed) throw reason;
      });
    }
  }

  async #dial(): Promise<void> {
    // Repeating a start is safe: the request id makes the server answer with the same run.
    this.#call = new EventCall(this.#connection, this.#runId ? this.#attachRequest() : this.#request);
    const runId = await this.#call.runId(this.#stop.signal, this.#connection.timeoutMs);
    this.#runId ||= runId;
  }

  #attachRequest(): Follow {
    return create(AttachRunRequestSchema, {
      runId: this.#runId,
      afterSequenceNumber: this.#cursor.position,
      options: this.#options,
    });
  }

  async #read(call: EventCall): Promise<void> {
    if (this.#cursor.isFinished) return this.#takeLeave(call);
    const response = await call.read(this.#stop.signal, this.#silenceMs);
    if (!response) return this.#verifyEnd();
    this.#runId ||= response.runId;
    for (const event of this.#cursor.accept(response.events)) {
      this.#waiting.push(event);
      this.#backoff.reset();
    }
    if (response.events.some(({ payload }) => payload.case === "heartbeat")) this.#backoff.reset();
  }

  /** Let the call end by itself: hanging up on it would look like a lost reader to the server. */
  async #takeLeave(call: EventCall): Promise<void> {
    await call.read(this.#stop.signal, FAREWELL_MS).catch(() => {});
    this.#hangUp();
  }

  /** OK without `run_finished` is right behind the last event of a finished run, and nowhere else. */
  async #verifyEnd(): Promise<void> {
    if (!this.#runId) throw new StreamBrokenError("the stream ended before the run was accepted");
    const request = { runId: this.#runId };
    const { message } = await this.#connection.unary(
      RunService.method.getRun,
      this.#stop.signal,
      undefined,
      undefined,
      request,
    );
    const run = message.run!;
    if (!FINAL_STATES.has(run.state) || (run.lastSequenceNumber ?? 0) > this.#cursor.position) {
      throw new StreamBrokenError(`the stream ended after event ${this.#cursor.position}, before the run did`);
    }
    this.soFar.conclude(run);
    this.#isEnded = true;
    this.#hangUp();
  }

  #hangUp(): void {
    this.#call?.close();
    this.#call = undefined;
    // Behind the run's last event nothing is worth another call, however this one went.
    this.#isEnded ||= this.#cursor.isFinished;
    if (this.#isEnded) this.#letGo();
  }

  /** Heed the signal and the limit as long as somebody reads. The limit is one for all readings, counted from the first on. */
  #watch(): void {
    if (this.#isWatched || this.#isEnded || this.#stop.signal.aborted) return;
    this.#isWatched = true;
    if (this.#signal?.aborted) return this.#leave();
    this.#signal?.addEventListener("abort", this.#leave);
    if (this.#limitMs === undefined) return;
    this.#deadline ??= performance.now() + this.#limitMs;
    const leftMs = this.#deadline - performance.now();
    if (leftMs > 0) this.#timer = quietAlarm(this.#late, leftMs);
    else this.#late();
  }

  /** A signal may serve many streams, and a timer outlast its program: neither is held by a stream that nobody reads. */
  #letGo(): void {
    this.#isWatched = false;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#leave);
  }

  readonly #giveUp = (error: unknown): never => {
    this.#letGo();
    throw error;
  };

  readonly #leave = (): void => {
    this.#stop.abort(this.#signal?.reason);
    this.#hangUp();
    this.#letGo();
  };

  readonly #late = (): void => {
    const message = `the run did not end within ${this.#limitMs} ms; it goes on`;
    this.#stop.abort(this.#backoff.late(new DeadlineExceededError(message, { code: "DEADLINE_EXCEEDED" })));
    this.#hangUp();
    this.#letGo();
  };

  #requireOpen(): void {
    if (this.#isClosed) throw new StreamClosedError("the stream was closed before the run ended");
  }
}
