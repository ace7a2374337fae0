// How patient a client is.

import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_RETRY, StreamBrokenError } from "letta-grpc";
import { Backoff } from "#dist/retry.js";

const LOST = new StreamBrokenError("the link broke");

/** The waits of an outage, until no try is left. */
function waits(attempts: number, drawn: number): number[] {
  const backoff = new Backoff({ ...DEFAULT_RETRY, draw: () => drawn });
  return Array.from({ length: attempts - 1 }, () => backoff.delayAfter(LOST, attempts));
}

const sum = (numbers: readonly number[]) => numbers.reduce((left, right) => left + right, 0);

test("a wait is drawn from half of its ceiling on", () => {
  deepEqual(waits(10, 1), [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  deepEqual(waits(4, 0.5), [75, 150, 300]);
  deepEqual(waits(4, 0), [50, 100, 200]);
});

test("a stream outlasts a minute of outage, however its waits are drawn", () => {
  ok(sum(waits(DEFAULT_RETRY.streamAttempts, 0)) >= 60_000);
});

test("a start outlasts a restart, and keeps nobody waiting for long", () => {
  ok(sum(waits(DEFAULT_RETRY.callAttempts, 0)) >= 10_000);
  ok(sum(waits(DEFAULT_RETRY.callAttempts, 1)) <= 25_000);
});
