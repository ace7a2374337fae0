// A reader's place in a run's log: what is new, what was there before, what is missing.

import { StreamBrokenError } from "./errors.js";
import type { RunEvent } from "./generated/letta_grpc/v1/events_pb.js";

/**
 * Lets each event through once, in order.
 *
 * Rule: an event passes only if its number follows the last one. With a filter numbers may jump, so there only their order is
 * checked. A heartbeat never passes; what it says has been delivered must have been.
 */
export class Cursor {
  isFinished = false;

  constructor(
    public position: number,
    private readonly isFiltered: boolean,
  ) {}

  /** Yield what is new. Throws StreamBrokenError at the first gap; what came before it counts. */
  *accept(events: Iterable<RunEvent>): Generator<RunEvent> {
    for (const event of events) {
      const number = event.sequenceNumber;
      if (event.payload.case === "heartbeat") {
        this.require(number <= this.position || this.isFiltered, number);
        this.position = Math.max(this.position, number);
      } else if (number > this.position) {
        this.require(number === this.position + 1 || this.isFiltered, number);
        this.position = number;
        this.isFinished = event.payload.case === "runFinished";
        yield event;
      }
    }
  }

  private require(follows: boolean, number: number): void {
    if (!follows) throw new StreamBrokenError(`the stream jumped from event ${this.position} to ${number}`);
  }
}
