// One agent's conversation: what is asked, what answers, and what is done when something on the way breaks.

import { ApiError, cancelRun, createRun, defaultConversation, getAgent, listMessages, listRuns } from "./api.ts";
import { follow, type Start } from "./follow.ts";
import type { Memory } from "./memory.ts";
import { figuresOf, Meter } from "./meter.ts";
import { patiently } from "./patience.ts";
import type { Answer } from "./question.ts";
import type { Transcript } from "./transcript.ts";
import type { Agent, InputMessage, PendingAction, Run } from "./wire.ts";

// The start that the server has not accepted yet, as far as the page knows. Sent again under the same id it is the same run.
const START = "letta-grpc.start";
const METER_MS = 250;
export type Mode = "closed" | "loading" | "idle" | "answering" | "asking";

export interface View {
  mode(mode: Mode, hint: string): void;
  figures(text: string): void;
  link(isUp: boolean): void;
  announce(text: string): void;
  restore(text: string): void;
  /** Let the person write on: what had the focus is done with. */
  focus(): void;
  /** The agent whose conversation is shown from now on. */
  opened(agent: Agent): void;
  needsKey(): void;
  older(hasMore: boolean): void;
  /** Do something above what is in view. */
  keeping(change: () => void): void;
}

export class Chat {
  private session = new AbortController();
  private agent: Agent | null = null;
  private runId = "";
  private olderToken = "";
  private isStopping = false;
  // Runs that are open and were not followed yet, the next one first.
  private queue: string[] = [];
  private watching = new AbortController();
  private pending: PendingAction[] = [];
  private readonly answers = new Map<string, Answer>();

  constructor(
    private readonly transcript: Transcript,
    private readonly memory: Memory,
    private readonly view: View,
  ) {}

  get isAnswering(): boolean {
    return this.runId !== "" || this.isStopping;
  }

  close(): void {
    this.session.abort();
    this.agent = null;
    this.transcript.clear("");
    this.memory.clear();
    this.view.mode("closed", "");
  }

  /** Show an agent's conversation, with why a start was refused, and go on with whatever is under way in it. */
  async open(agentId: string, refusal?: unknown): Promise<void> {
    this.session.abort();
    const { signal } = (this.session = new AbortController());
    const shown = this.agent?.id;
    this.agent = null;
    this.runId = "";
    this.isStopping = false;
    this.queue = [];
    this.pending = [];
    this.view.older(false);
    this.view.figures("");
    this.view.mode("loading", "");
    const call = <T>(ask: () => Promise<T>) => patiently(ask, signal, (isUp) => this.view.link(isUp));
    try {
      const agent = await call(() => getAgent(agentId));
      await this.startAgain(agentId, signal).catch((error: unknown) => (refusal = error));
      const conversationId = await call(() => defaultConversation(agentId));
      // The runs first: what they have said is shown by their events alone, so that it is there once whatever happens meanwhile.
      const states = ["RUN_STATE_QUEUED", "RUN_STATE_RUNNING"];
      const runs = await call(() => listRuns({ agentId, conversationId, states }));
      const page = await call(() => listMessages(agentId));
      const waiting = await call(() => listRuns({ agentId, conversationId, hasPendingActions: "true" }));
      if (signal.aborted) return;
      this.agent = agent;
      this.view.opened(agent);
      this.transcript.clear(agent.name || "Agent");
      this.memory.show(agent);
      const running = new Set(runs.map((run) => run.id));
      this.transcript.show(page.messages.filter((message) => !message.stepId || !running.has(message.runId ?? "")));
      this.more(page.older);
      this.view.mode("idle", "");
      // Told at once: that somebody else is busy here is no longer true when they are followed to their end.
      if (refusal) this.failed(refusal);
      const [active, queued] = [runs.filter((run) => !isQueued(run)), runs.filter(isQueued)];
      for (const run of active) await this.run({ runId: run.id }, signal);
      if (signal.aborted) return;
      // A run that was open a moment ago has asked at its end.
      if (!this.pending.length) this.ask(waiting.flatMap((run) => (running.has(run.id) ? [] : (run.pendingActions ?? []))));
      this.queue = queued.map((run) => run.id);
      await this.goOn(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!this.agent) this.shut(agentId === shown);
      this.failed(error);
    }
  }

  /** End what could not be opened. What is shown of the same agent may still be read. */
  private shut(isSame: boolean): void {
    if (!isSame) {
      this.transcript.clear("");
      this.memory.clear();
    }
    this.view.mode("closed", "");
  }

  async older(): Promise<void> {
    if (!this.agent || !this.olderToken) return;
    const { signal } = this.session;
    const token = this.olderToken;
    // One page at a time. The button stays meanwhile: it may have the focus.
    this.olderToken = "";
    try {
      const page = await listMessages(this.agent.id, token);
      if (signal.aborted) return;
      this.view.keeping(() => this.transcript.show(page.messages, "beginning"));
      this.more(page.older);
    } catch (error) {
      if (signal.aborted) return;
      this.more(token);
      this.failed(error);
    }
  }

  private more(token: string): void {
    this.olderToken = token;
    this.view.older(token !== "");
  }

  /** Follow what is queued, one run after the other; while a question is open none of them can start. */
  private async goOn(signal: AbortSignal): Promise<void> {
    while (this.queue.length && !signal.aborted) {
      if (this.pending.length) return this.watch(this.queue[0]!, signal);
      await this.run({ runId: this.queue.shift()! }, signal);
    }
  }

  /** Wait for a word of the run behind a question. It is said when somebody else has answered, or cancelled the run. */
  private async watch(runId: string, outer: AbortSignal): Promise<void> {
    this.watching = new AbortController();
    const signal = AbortSignal.any([outer, this.watching.signal]);
    for await (const _ of follow({ runId }, signal, { onRun: () => {}, onLink: this.view.link })) break;
    const { agent } = this;
    if (signal.aborted || !agent) return;
    const query = { agentId: agent.id, hasPendingActions: "true" };
    const waiting = await patiently(() => listRuns(query), signal, this.view.link).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    if (signal.aborted || !waiting) return;
    const open = new Set(waiting.flatMap((run) => run.pendingActions ?? []).map((action) => action.toolCallId));
    if (!this.pending.every((action) => open.has(action.toolCallId))) return this.open(agent.id);
    // What the person has begun to answer stays as it is.
    this.queue = this.queue.filter((id) => id !== runId);
    await this.goOn(outer);
  }

  /** Look whether somebody else has gone on with the conversation. */
  async lookAgain(): Promise<void> {
    if (!this.agent || this.isAnswering) return;
    const { id } = this.agent;
    const { signal } = this.session;
    const newest = await listMessages(id, "", 1).catch(() => null);
    const message = newest?.messages[0];
    const isNew = message && !message.decisions && !message.toolReturns && !this.transcript.knows(message.id);
    if (isNew && !signal.aborted && !this.isAnswering) await this.open(id);
  }

  async send(text: string): Promise<void> {
    if (!this.agent || this.isAnswering) return;
    const requestId = newId();
    this.transcript.say(requestId, text);
    // Somebody who writes instead of answering wants the calls that wait to be given up.
    const policy = this.pending.length ? { conflictPolicy: "CONFLICT_POLICY_INTERRUPT" } : {};
    const reason = "You wrote a message instead.";
    this.transcript.decided(this.pending.map((action) => ({ toolCallId: action.toolCallId ?? "", deny: { reason } })));
    const run = { messages: [{ otid: requestId, user: { text } }], ...policy };
    await this.begin({ agentId: this.agent.id, requestId, run }, text);
  }

  async stop(): Promise<void> {
    if (!this.isAnswering || this.isStopping) return;
    this.isStopping = true;
    if (this.runId && this.runId !== STARTING) await this.cancel(this.runId);
  }

  private async cancel(runId: string): Promise<void> {
    const { signal } = this.session;
    try {
      await patiently(() => cancelRun(runId), signal, () => {});
    } catch (error) {
      this.isStopping = false;
      if (!signal.aborted) this.failed(error);
    }
  }

  private async begin(start: Start, text: string): Promise<void> {
    const { signal } = this.session;
    sessionStorage.setItem(START, JSON.stringify(start));
    this.watching.abort();
    try {
      await this.run(start, signal);
    } catch (error) {
      if (signal.aborted) return;
      sessionStorage.removeItem(START);
      this.transcript.unsay(start.requestId);
      this.view.restore(text);
      return this.refused(error);
    }
    await this.goOn(signal).catch((error: unknown) => signal.aborted || this.failed(error));
  }

  /** Have the server accept what an earlier page may have lost on the way to it; rejects if it was refused. */
  private async startAgain(agentId: string, signal: AbortSignal): Promise<void> {
    const kept = sessionStorage.getItem(START);
    const start = kept ? (JSON.parse(kept) as Start) : null;
    if (start?.agentId !== agentId) return;
    try {
      await patiently(() => createRun(start.agentId, start.requestId, start.run), signal, this.view.link);
    } catch (error) {
      if (!signal.aborted) this.view.restore(start.run.messages[0]?.user?.text ?? "");
      throw error;
    } finally {
      if (!signal.aborted) sessionStorage.removeItem(START);
    }
  }

  /** Follow a run to its end. Rejects with ApiError if it was refused. */
  private async run(what: Start | { runId: string }, signal: AbortSignal): Promise<void> {
    const isReplay = "runId" in what;
    const meter = new Meter(isReplay);
    const ticking = setInterval(() => this.view.figures(meter.now), METER_MS);
    this.runId = isReplay ? what.runId : STARTING;
    this.pending = [];
    this.view.mode("answering", "");
    this.view.announce(`${this.agent?.name || "The agent"} is answering.`);
    let finished: Run | null = null;
    try {
      for await (const event of follow(what, signal, { onRun: (id) => this.accepted(id), onLink: this.view.link })) {
        if (signal.aborted) return;
        meter.see(event);
        this.transcript.apply(event);
        if (event.toolReturn) void this.memory.refresh();
        if (event.runFinished) finished = event.runFinished.run;
      }
    } finally {
      clearInterval(ticking);
      if (!signal.aborted) this.ended(finished);
    }
  }

  private accepted(runId: string): void {
    sessionStorage.removeItem(START);
    this.runId = runId;
    if (this.isStopping) void this.cancel(runId);
  }

  private ended(run: Run | null): void {
    this.runId = "";
    this.isStopping = false;
    this.view.figures("");
    this.view.mode("idle", "");
    if (!run) return;
    this.transcript.finish(run, figuresOf(run));
    void this.memory.refresh();
    if (run.pendingActions?.length) this.ask(run.pendingActions);
    else this.view.announce("The answer is complete.");
  }

  private ask(actions: PendingAction[]): void {
    this.pending = actions;
    this.answers.clear();
    if (!actions.length) return;
    this.transcript.ask(actions, (id, answer) => this.answered(id, answer));
    const calls = actions.length === 1 ? "A tool call waits" : `${actions.length} tool calls wait`;
    this.view.mode("asking", `${calls} for your answer. If you write instead, ${actions.length === 1 ? "it is" : "they are"} denied.`);
    this.view.announce(`${calls} for your answer.`);
  }

  /** Collect answers, and send them together once each call has one. */
  private answered(id: string, answer: Answer | null): void {
    if (answer) this.answers.set(id, answer);
    else this.answers.delete(id);
    const open = this.pending.length - this.answers.size;
    if (open) {
      this.view.mode("asking", `${this.answers.size} of ${this.pending.length} answered; sent together with the last one.`);
      return;
    }
    const answers = [...this.answers.values()];
    const decisions = answers.flatMap((one) => ("decision" in one ? [one.decision] : []));
    const returns = answers.flatMap((one) => ("toolReturn" in one ? [one.toolReturn] : []));
    const messages: InputMessage[] = [];
    if (decisions.length) messages.push({ approval: { decisions } });
    if (returns.length) messages.push({ toolReturns: { returns } });
    this.view.focus();
    this.transcript.decided(decisions);
    void this.begin({ agentId: this.agent!.id, requestId: newId(), run: { messages } }, "");
  }

  /** A start that the server did not take: show how the conversation stands, which may have gone on without this page, and why. */
  private async refused(error: unknown): Promise<void> {
    if (error instanceof ApiError && error.status !== 401 && this.agent) await this.open(this.agent.id, error);
    else this.failed(error);
  }

  private failed(error: unknown): void {
    if (error instanceof ApiError && error.status === 401) this.view.needsKey();
    const text = error instanceof ApiError ? error.message : `The page failed: ${error}`;
    this.transcript.note(text, "failed");
    this.view.announce(text);
    if (!(error instanceof ApiError)) console.error(error);
  }
}

function isQueued(run: Run): boolean {
  return run.state === "RUN_STATE_QUEUED";
}

// Stands for the id of a run that the server has not named yet.
const STARTING = "starting";

/** Return a UUID, also where the page was not loaded over HTTPS. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
