package dev.lettagrpc;

import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.StreamOptions;

/**
 * A reader's place in a run's log: what is new, what was there before, what is missing.
 *
 * <p>Rule: an event passes only if its number follows the last one. With a filter numbers may jump,
 * so there only their order is checked. A heartbeat never passes; what it says has been delivered
 * must have been.
 */
final class Cursor {
  private final boolean filtered;
  private int position;
  private boolean finished;

  Cursor(int after, StreamOptions options) {
    this.position = after;
    this.filtered = options.getEventKindsCount() > 0 || options.getOmitDeltas();
  }

  /** The number of the last event that is accounted for. */
  int position() {
    return position;
  }

  /** Whether the run's last event has passed. */
  boolean finished() {
    return finished;
  }

  /** Tells whether an event is new. Throws {@link LettaException} if one before it is missing. */
  boolean passes(RunEvent event) {
    int number = event.getSequenceNumber();
    if (event.hasHeartbeat()) {
      require(number <= position || filtered, number);
      position = Math.max(position, number);
      return false;
    }
    if (number <= position) {
      return false;
    }
    require(number == position + 1 || filtered, number);
    position = number;
    finished = event.hasRunFinished();
    return true;
  }

  private void require(boolean follows, int number) {
    if (!follows) {
      throw LettaException.broken(
          "the stream jumped from event %d to %d".formatted(position, number));
    }
  }
}
