// Calls that are made again while the server is away.

import { ApiError } from "./api.ts";
import { pausing } from "./follow.ts";

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5_000;

/** Return what a call gives once it goes well. Rejects with what trying again does not help, or when the signal says to leave. */
export async function patiently<T>(call: () => Promise<T>, signal: AbortSignal, onLink: (isUp: boolean) => void): Promise<T> {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    let delay = wait;
    try {
      const value = await call();
      onLink(true);
      return value;
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && !error.isPassing)) throw error;
      if (error instanceof ApiError) delay = Math.max(wait, error.retryAfterSeconds * 1000);
    }
    onLink(false);
    await pausing(delay, signal);
    signal.throwIfAborted();
  }
}
