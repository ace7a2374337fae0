// Waits that somebody may end.

/** Wait for something; until the signal, then reject with its reason. After `limitMs` reject with what `late` gives. */
export function within<T>(work: Promise<T>, signal: AbortSignal, limitMs?: number, late?: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => settle(() => reject(signal.reason));
    const timer = limitMs === undefined || !late ? undefined : setTimeout(() => settle(() => reject(late())), limitMs);
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
  let timer: ReturnType<typeof setTimeout>;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  return within(over, signal).finally(() => clearTimeout(timer));
}
