// One conversation as a page sees it, without any framework: what was said since the last message, and what can be done.

import { Accumulator } from "../accumulator.js";
import { type Answer, type Answers, approve, deny } from "../answers.js";
import type { Client } from "../client.js";
import { RunFailedError } from "../errors.js";
import type { RunEvent } from "../generated/letta_grpc/v1/events_pb.js";
import type { Message } from "../generated/letta_grpc/v1/messages_pb.js";
import { ActionKind, type PendingAction, type Run, RunState } from "../generated/letta_grpc/v1/runs_pb.js";
import type { Inputs, RunOptions } from "../requests.js";
import type { RunStream } from "../stream.js";

/** A turn: a run, and the runs that answered its calls. */
export interface AgentStreamState {
  /** The agent's words in this turn, as far as they have come. */
  readonly response: string;
  /** The turn's messages, what is being written as far as it has come. */
  readonly messages: readonly Message[];
  /** Every event of the turn, each once and in order. */
  readonly events: readonly RunEvent[];
  readonly isStreaming: boolean;
  /** Why the turn did not go well: a LettaError of the call, or a RunFailedError of the run. */
  readonly error: Error | null;
  /** The calls that wait for `approve`, `deny` or `answer`. Empty while something is under way. */
  readonly pending: readonly PendingAction[];
  /** The run, as it started or ended. */
  readonly run: Run | null;
}

/** Which call is meant; without an id all that wait for approval. */
export interface Which {
  toolCallId?: string;
}

// Events may come faster than a page can be drawn.
const FRAME_MS = 16;

/** Follows one turn after the other. What is under way can be left at any time, and the session used again. */
export class AgentSession {
  #turn = new Accumulator();
  #events: RunEvent[] = [];
  #error: Error | null = null;
  #stream: RunStream | undefined;
  #state: AgentStreamState | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly client: Client,
    readonly agentId: string,
    readonly conversationId?: string,
  ) {}

  /** Be told of changes, at most once a frame; the function returned ends it. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Return how things stand: the same object until something changes. */
  readonly getState = (): AgentStreamState => {
    this.#state ??= {
      response: this.#turn.textSoFar,
      messages: this.#turn.messagesSoFar,
      events: [...this.#events],
      isStreaming: this.#stream !== undefined,
      error: this.#error,
      pending: this.#stream ? [] : this.#turn.pendingActions,
      run: this.#turn.run ?? null,
    };
    return this.#state;
  };

  /**
   * Say something; resolves with the run when it has ended. One turn at a time: while another is under way nothing is sent.
   * Calls that still wait are denied, unless a conflict policy says otherwise.
   */
  readonly send = (messages: Inputs, options: RunOptions = {}): Promise<Run | undefined> => {
    const policy = this.#turn.pendingActions.length ? { conflictPolicy: "interrupt" as const } : {};
    const conversation = this.conversationId === undefined ? {} : { conversationId: this.conversationId };
    return this.#begin(() => this.client.stream(this.agentId, messages, { ...policy, ...conversation, ...options }));
  };

  /** Follow a run that there is, from its first event: after a reload, or one that somebody else started. */
  readonly attach = (runId: string): Promise<Run | undefined> => this.#begin(() => this.client.attach(runId));

  /** Ask the run at work to end; what it has said stays, and its last events still come. */
  readonly stop = async (): Promise<void> => {
    const stream = this.#stream;
    try {
      await stream?.cancel();
    } catch (error) {
      if (stream === this.#stream) this.#failed(error);
    }
  };

  /** Let calls run: as the model wrote them, or with these arguments. */
  readonly approve = ({ toolCallId, arguments: edited }: Which & { arguments?: string | object } = {}) =>
    this.#answerAll(approve(edited), toolCallId);

  /** Do not let calls run; the model is told why. */
  readonly deny = ({ toolCallId, reason }: Which & { reason?: string } = {}) => this.#answerAll(deny(reason), toolCallId);

  /** Answer calls that wait, and follow the run that goes on. Those without an answer go on waiting. */
  readonly answer = async (answers: Answers): Promise<Run | undefined> => {
    const { run } = this.#turn;
    if (this.#stream || !run || Object.keys(answers).length === 0) return undefined;
    return this.#follow(() => this.client.answer(run, answers));
  };

  /** Read no further; the run goes on. */
  readonly leave = (): void => {
    const stream = this.#stream;
    this.#stream = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#state = undefined;
    void stream?.close();
  };

  #answerAll(answer: Answer, toolCallId: string | undefined): Promise<Run | undefined> {
    const waiting = this.#turn.pendingActions.filter(({ kind }) => kind === ActionKind.APPROVAL);
    const ids = toolCallId === undefined ? waiting.map((action) => action.toolCallId) : [toolCallId];
    return this.answer(Object.fromEntries(ids.map((id) => [id, answer])));
  }

  async #begin(open: () => RunStream): Promise<Run | undefined> {
    if (this.#stream) return undefined;
    const [turn, events] = [this.#turn, this.#events];
    this.#turn = new Accumulator();
    this.#events = [];
    // Where no run has begun the turn before is still the last one, and its calls still wait.
    return this.#follow(open, () => ([this.#turn, this.#events] = [turn, events]));
  }

  async #follow(open: () => RunStream, putBack: () => void = () => {}): Promise<Run | undefined> {
    let stream: RunStream | undefined;
    try {
      stream = open();
      this.#stream = stream;
      this.#error = null;
      this.#publish();
      for await (const event of stream) {
        if (this.#stream !== stream) return undefined;
        this.#turn.add(event);
        this.#events.push(event);
        this.#changed();
      }
      const run = await stream.final();
      this.#turn.conclude(run);
      if (run.state === RunState.FAILED) this.#error = new RunFailedError(run);
      return run;
    } catch (error) {
      if (this.#stream !== stream) return undefined;
      if (!stream?.runId) putBack();
      this.#failed(error);
      return undefined;
    } finally {
      if (this.#stream === stream) {
        this.#stream = undefined;
        this.#publish();
      }
    }
  }

  #failed(error: unknown): void {
    this.#error = error instanceof Error ? error : new Error(String(error));
    this.#publish();
  }

  #changed(): void {
    this.#state = undefined;
    this.#timer ??= setTimeout(() => this.#publish(), FRAME_MS);
  }

  #publish(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#state = undefined;
    for (const listener of this.#listeners) listener();
  }
}
