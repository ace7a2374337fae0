package dev.lettagrpc;

import java.time.Duration;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/** Counts failures since the last progress. */
final class Backoff {
  private final RetryPolicy policy;
  private final DoubleSupplier draw;
  private int failures;
  private LettaException last;

  /** Draws from {@code draw} numbers from 0 to 1. */
  Backoff(RetryPolicy policy, DoubleSupplier draw) {
    this.policy = policy;
    this.draw = draw;
  }

  /** Begins again: there was progress. */
  void reset() {
    failures = 0;
    last = null;
  }

  /** Why the try before failed; nothing since the last progress. */
  Optional<LettaException> last() {
    return Optional.ofNullable(last);
  }

  /**
   * Returns the wait before the next try. Throws the failure if none is left or none would help.
   */
  Duration delayAfter(LettaException failure, int attempts) {
    failures++;
    if (!failure.retryable() || failures >= attempts) {
      failures = 0;
      throw failure;
    }
    last = failure;
    double grown = policy.initialDelay().toNanos() * Math.pow(policy.multiplier(), failures - 1.0);
    double ceiling = Math.min(policy.maximumDelay().toNanos(), grown);
    // Not from 0 on: a few short draws in a row would spend the attempts long before the server is
    // back.
    double share = (1 + draw.getAsDouble()) / 2;
    Duration drawn = Duration.ofNanos((long) (share * ceiling));
    Duration asked = failure.retryDelay().orElse(Duration.ZERO);
    return drawn.compareTo(asked) < 0 ? asked : drawn;
  }
}
