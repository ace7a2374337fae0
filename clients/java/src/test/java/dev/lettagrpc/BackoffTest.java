package dev.lettagrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
  void waitsAreDrawnEvenlyFromHalfOfTheirCeilingOn() {
    assertEquals(Duration.ofMillis(75), new Backoff(POLICY, () -> 0.5).delayAfter(BROKEN, 12));
    assertEquals(Duration.ofMillis(50), new Backoff(POLICY, () -> 0.0).delayAfter(BROKEN, 12));
  }

  @Test
  void aStreamOutlastsAMinuteOfOutageHoweverItsWaitsAreDrawn() {
    assertTrue(outlasted(RetryPolicy.defaults().streamAttempts(), 0.0) >= 60_000);
  }

  @Test
  void aStartOutlastsARestartAndKeepsNobodyWaitingForLong() {
    assertTrue(outlasted(RetryPolicy.defaults().callAttempts(), 0.0) >= 10_000);
    assertTrue(outlasted(RetryPolicy.defaults().callAttempts(), 1.0) <= 25_000);
  }

  private static long outlasted(int attempts, double drawn) {
    Backoff backoff = new Backoff(RetryPolicy.defaults(), () -> drawn);
    return IntStream.range(1, attempts)
        .mapToLong(i -> backoff.delayAfter(BROKEN, attempts).toMillis())
        .sum();
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
