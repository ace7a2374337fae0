// When to try again: exponential back-off with full jitter, bounded by attempts.

import { LettaError } from "./errors.js";

/**
 * How patient a client is. The wait before the n-th new try is drawn evenly from 0 to `initialMs` · `multiplier`ⁿ⁻¹, at most
 * `maximumMs`, and is never shorter than the server asks. An accepted run's stream tries `streamAttempts` times after its last
 * progress; whatever else may be repeated without harm is tried `callAttempts` times in all.
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
  streamAttempts: 12,
  callAttempts: 4,
  draw: Math.random,
};

/** Counts failures since the last progress. */
export class Backoff {
  #failures = 0;

  constructor(readonly policy: RetryPolicy) {}

  /** Begin again: there was progress. */
  reset(): void {
    this.#failures = 0;
  }

  /** Return how long to wait before the next try. Throws the error if none is left or none would help. */
  delayAfter(error: unknown, attempts: number): number {
    this.#failures += 1;
    if (!(error instanceof LettaError && error.isRetryable) || this.#failures >= attempts) {
      this.#failures = 0;
      throw error;
    }
    const { initialMs, maximumMs, multiplier, draw } = this.policy;
    const ceiling = Math.min(maximumMs, initialMs * multiplier ** (this.#failures - 1));
    return Math.max(draw() * ceiling, error.retryDelayMs ?? 0);
  }
}
