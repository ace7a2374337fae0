package dev.lettagrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class BackoffTest {
  private static final RetryPolicy POLICY =
      RetryPolicy.defaults().withDelays(Duration.ofMillis(100), Duration.ofMillis(500));
  private static final LettaException BROKEN = LettaException.broken("the link broke");

  @Test
  void theLongestWaitDoublesUpToItsBound() {
    Backoff backoff = new Backoff(POLICY, () -> 1.0);

    List<Long> waits =
        IntStream.range(0, 5).mapToObj(i -> backoff.delayAfter(BROKEN, 12).toMillis()).toList();

    assertEquals(List.of(100L, 200L, 400L, 500L, 500L), waits);
  }

  @Test
  void waitsAreDrawnEvenlyFromNothingOn() {
    assertEquals(Duration.ofMillis(25), new Backoff(POLICY, () -> 0.25).delayAfter(BROKEN, 12));
    assertEquals(Duration.ZERO, new Backoff(POLICY, () -> 0.0).delayAfter(BROKEN, 12));
  }

  @Test
  void noWaitIsShorterThanTheServerAsks() {
    LettaException busy =
        new LettaException(
            "full",
            Status.Code.UNAVAILABLE,
            new LettaException.Refusal(
                "SERVER_DRAINING", Map.of(), Map.of(), Duration.ofSeconds(2)),
            null);

    assertEquals(Duration.ofSeconds(2), new Backoff(POLICY, () -> 1.0).delayAfter(busy, 12));
  }

  @Test
  void theLastAttemptThrowsItsFailureAndProgressBeginsAgain() {
    Backoff backoff = new Backoff(POLICY, () -> 1.0);
    backoff.delayAfter(BROKEN, 3);
    backoff.delayAfter(BROKEN, 3);
    assertSame(BROKEN, assertThrows(LettaException.class, () -> backoff.delayAfter(BROKEN, 3)));

    backoff.delayAfter(BROKEN, 3);
    backoff.reset();

    assertEquals(Duration.ofMillis(100), backoff.delayAfter(BROKEN, 3));
  }

  @Test
  void aPolicyWithoutAttemptsIsRefused() {
    assertThrows(
        IllegalArgumentException.class, () -> RetryPolicy.defaults().withStreamAttempts(0));
  }
}
