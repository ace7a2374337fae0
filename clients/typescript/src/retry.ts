// When to try again: exponential back-off with jitter, bounded by attempts.

import { DeadlineExceededError, LettaError } from "./errors.js";

/**
 * How patient a client is. The wait before the n-th new try has a ceiling, `initialMs` · `multiplier`ⁿ⁻¹ and at most
 * `maximumMs`. It is drawn evenly from half of it to the whole, and is never shorter than the server asks. An accepted run's
 * stream tries `streamAttempts` times after its last progress: by default it goes on through any outage of a minute, and gives
 * up after 66 to 133 seconds. Whatever else may be repeated without harm, the start of a run too, is tried `callAttempts` times
 * in all: by default through any outage of ten seconds, longer than a restart takes; it gives up after 11 to 23 seconds.
 */
export interface RetryPolicy {
  readonly initialMs: number;
  readonly maximumMs: number;
  readonly multiplier: number;
  readonly streamAttempts: number;
  readonly callAttempts: number;
  /** Gives numbers from 0 to 1. */
  readonly draw: () => number;
}

export const DEFAULT_RETRY: RetryPolicy = {
  initialMs: 100,
  maximumMs: 10_000,
  multiplier: 2,
  streamAttempts: 20,
  callAttempts: 9,
  draw: Math.random,
};

/** Counts failures since the last progress. */
export class Backoff {
  #failures = 0;
  #last: LettaError | undefined;

  constructor(readonly policy: RetryPolicy) {}

  /** Begin again: there was progress. */
  reset(): void {
    this.#failures = 0;
    this.#last = undefined;
  }

  /** Return the end of a time limit as one that says why the try before it failed, if there was one. */
  late(error: DeadlineExceededError): DeadlineExceededError {
    const last = this.#last;
    if (!last) return error;
    const message = `${error.message}; the try before failed: ${last.message}`;
    return new DeadlineExceededError(message, { code: "DEADLINE_EXCEEDED", cause: last });
  }

  /** Return how long to wait before the next try. Throws the error if none is left or none would help. */
  delayAfter(error: unknown, attempts: number): number {
    this.#failures += 1;
    if (!(error instanceof LettaError && error.isRetryable) || this.#failures >= attempts) {
      this.#failures = 0;
      throw error;
    }
    this.#last = error;
    const { initialMs, maximumMs, multiplier, draw } = this.policy;
    const ceiling = Math.min(maximumMs, initialMs * multiplier ** (this.#failures - 1));
    // Not from 0 on: a few short draws in a row would spend the attempts long before the server is back.
    const drawn = (ceiling * (1 + draw())) / 2;
    return Math.max(drawn, error.retryDelayMs ?? 0);
  }
}
