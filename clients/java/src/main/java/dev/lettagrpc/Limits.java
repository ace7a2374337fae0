package dev.lettagrpc;

import dev.lettagrpc.v1.StreamOptions;
import io.grpc.Deadline;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** How long a stream may wait: for a word of the server's, and for everything. */
final class Limits {
  private static final Duration HEARTBEAT = Duration.ofSeconds(15);
  private static final int SILENT_INTERVALS = 3;

  private final Duration silence;
  private volatile Deadline deadline;

  Limits(StreamOptions options) {
    Duration interval =
        options.hasHeartbeatInterval()
            ? Statuses.duration(options.getHeartbeatInterval())
            : HEARTBEAT;
    silence = interval.isZero() ? Waits.FOR_EVER : interval.multipliedBy(SILENT_INTERVALS);
  }

  void setDeadline(Deadline end) {
    deadline = end;
  }

  /** How long without a word means that a stream is dead; for ever without heartbeats. */
  Duration silence() {
    return within(silence);
  }

  /** Returns a span, or what is left until the deadline. */
  Duration within(Duration span) {
    Deadline end = deadline;
    if (end == null) {
      return span;
    }
    Duration left = Duration.ofNanos(Math.max(0, end.timeRemaining(TimeUnit.NANOSECONDS)));
    return left.compareTo(span) < 0 ? left : span;
  }

  boolean areOver() {
    Deadline end = deadline;
    return end != null && end.isExpired();
  }
}
