// Waits that somebody may end.

import { InvalidRequestError } from "./errors.js";

type Timer = ReturnType<typeof setTimeout>;

// What a timer holds, 24 days; with more it would go off at once.
const LONGEST_MS = 2 ** 31 - 1;

/** Return a limit as timers and headers hold it; undefined for Infinity, which is none. Throws for what is no time. */
export function timeLimit(timeoutMs: number | undefined): number | undefined {
  if (timeoutMs === undefined || timeoutMs === Infinity) return undefined;
  // Whole: a server that cannot read one call's `grpc-timeout` refuses every later call of the connection that has one.
  if (timeoutMs >= 0) return Math.min(Math.ceil(timeoutMs), LONGEST_MS);
  throw new InvalidRequestError(`timeoutMs is ${timeoutMs}, and no time`, { code: "INVALID_ARGUMENT" });
}

/** Set a timer for any time that is one. */
export function alarm(ring: () => void, milliseconds: number): Timer {
  return setTimeout(ring, Math.min(milliseconds, LONGEST_MS));
}

/** Set a timer that keeps no process alive. */
export function quietAlarm(ring: () => void, milliseconds: number): Timer {
  const timer = alarm(ring, milliseconds);
  // In Node it is an object, in browsers, which keep no process alive, a number.
  if (typeof timer === "object") timer.unref();
  return timer;
}

/** Wait for something; until the signal, then reject with its reason. After `limitMs` reject with what `late` gives. */
export function within<T>(work: Promise<T>, signal: AbortSignal, limitMs?: number, late?: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => settle(() => reject(signal.reason));
    const timer = limitMs === undefined || !late ? undefined : alarm(() => settle(() => reject(late())), limitMs);
    const settle = (how: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      how();
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave);
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}

/** Wait; rejects with the signal's reason if that comes first. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  let timer: Timer;
  const over = new Promise<void>((resolve) => (timer = alarm(resolve, milliseconds)));
  return within(over, signal).finally(() => clearTimeout(timer));
}
