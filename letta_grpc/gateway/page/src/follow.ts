// Follows a run to its end, whatever happens to connection and server on the way: no event is lost, none comes twice.

import { ApiError, request } from "./api.ts";
import { FrameParser } from "./frames.ts";
import type { RunEvent, RunSpec } from "./wire.ts";

/** A start that may be sent again: the server gives the same run for the same id. */
export interface Start {
  agentId: string;
  requestId: string;
  run: RunSpec;
}

export interface Hooks {
  /** The server has accepted the run. */
  onRun(runId: string): void;
  /** The connection is up, or lost and being made again. */
  onLink(isUp: boolean): void;
}

// Three times the server's heartbeat: a connection that says nothing for longer is dead, as after a phone's sleep.
const SILENCE_MS = 45_000;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

/** Yield the events of a new run, or of a known one from its first. Rejects with ApiError where trying again is no use. */
export async function* follow(what: Start | { runId: string }, signal: AbortSignal, hooks: Hooks): AsyncGenerator<RunEvent> {
  let runId = "runId" in what ? what.runId : "";
  let last = 0;
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    let pause = 0;
    try {
      const link = new Link(signal);
      try {
        const response = await (runId ? attach(runId, last, link.signal) : start(what as Start, link.signal));
        hooks.onLink(true);
        if (response.status === 204) return;
        if (!runId) hooks.onRun((runId = response.headers.get("letta-run-id") ?? ""));
        for await (const event of events(response, link)) {
          if (event.sequenceNumber <= last) continue;
          last = event.sequenceNumber;
          wait = FIRST_WAIT_MS;
          yield event;
          if (event.runFinished) return;
        }
      } finally {
        link.close();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !error.isPassing) throw error;
      pause = error instanceof ApiError ? error.retryAfterSeconds * 1000 : 0;
    }
    hooks.onLink(false);
    await pausing(Math.max(pause, wait * (0.75 + Math.random() / 2)), signal);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

function start(what: Start, signal: AbortSignal): Promise<Response> {
  const body = { requestId: what.requestId, run: what.run };
  const headers = { accept: "text/event-stream" };
  return request(`agents/${encodeURIComponent(what.agentId)}/runs:stream`, { method: "POST", body, headers, signal });
}

function attach(runId: string, last: number, signal: AbortSignal): Promise<Response> {
  const headers = { accept: "text/event-stream", "last-event-id": String(last) };
  return request(`runs/${encodeURIComponent(runId)}/events:stream`, { headers, signal });
}

async function* events(response: Response, link: Link): AsyncGenerator<RunEvent> {
  const parser = new FrameParser();
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    link.alive();
    for (const frame of parser.push(value)) {
      // An error on the way has no id: whether it is for good, the next request is told by its status.
      if (frame.event === "error") return;
      yield JSON.parse(frame.data) as RunEvent;
    }
  }
}

/** One connection: cut when the follower leaves, or when nothing comes any more. */
class Link {
  private readonly controller = new AbortController();
  private readonly leave = () => this.controller.abort();
  private timer = 0;

  constructor(private readonly outer: AbortSignal) {
    outer.addEventListener("abort", this.leave);
    this.alive();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  alive(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.leave, SILENCE_MS);
  }

  close(): void {
    clearTimeout(this.timer);
    this.outer.removeEventListener("abort", this.leave);
    this.controller.abort();
  }
}

/** Wait; less when the network is back or the page is looked at again. */
export function pausing(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });
}
