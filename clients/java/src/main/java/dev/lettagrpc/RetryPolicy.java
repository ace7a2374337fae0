package dev.lettagrpc;

import java.time.Duration;

/**
 * How patient a client is.
 *
 * <p>The wait before the n-th new try has a ceiling, {@code initialDelay} · {@code multiplier}ⁿ⁻¹
 * and at most {@code maximumDelay}. It is drawn evenly from half of it to the whole, and is never
 * shorter than the server asks.
 *
 * @param initialDelay the longest wait before the first new try
 * @param maximumDelay the longest wait before any
 * @param multiplier by how much the longest wait grows with each failure
 * @param streamAttempts how often the stream of an accepted run fails without progress before that
 *     is an error
 * @param callAttempts how often anything else that may be repeated without harm, the start of a run
 *     too, is tried in all
 */
public record RetryPolicy(
    Duration initialDelay,
    Duration maximumDelay,
    double multiplier,
    int streamAttempts,
    int callAttempts) {

  private static final RetryPolicy DEFAULTS =
      new RetryPolicy(Duration.ofMillis(100), Duration.ofSeconds(10), 2.0, 20, 9);

  /** Checks that the policy makes sense. */
  public RetryPolicy {
    if (initialDelay.isNegative() || maximumDelay.isNegative() || multiplier < 1.0) {
      throw new IllegalArgumentException("waits must not be negative, and must not shrink");
    }
    if (streamAttempts < 1 || callAttempts < 1) {
      throw new IllegalArgumentException("at least one attempt is needed");
    }
  }

  /**
   * Ceilings from 100 ms to 10 s; 20 attempts of a stream, 9 of a call. So a stream goes on through
   * any outage of a minute, and gives up after 66 to 133 seconds; a call or a start goes on through
   * any of ten seconds, longer than a restart takes, and gives up after 11 to 23.
   */
  public static RetryPolicy defaults() {
    return DEFAULTS;
  }

  /** Returns this policy with other waits. */
  public RetryPolicy withDelays(Duration initial, Duration maximum) {
    return new RetryPolicy(initial, maximum, multiplier, streamAttempts, callAttempts);
  }

  /** Returns this policy with another number of attempts for streams. */
  public RetryPolicy withStreamAttempts(int attempts) {
    return new RetryPolicy(initialDelay, maximumDelay, multiplier, attempts, callAttempts);
  }

  /** Returns this policy with another number of attempts for calls. */
  public RetryPolicy withCallAttempts(int attempts) {
    return new RetryPolicy(initialDelay, maximumDelay, multiplier, streamAttempts, attempts);
  }
}
