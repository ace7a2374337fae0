package dev.lettagrpc;

import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Blocking, with a limit, and with the interrupts of it as {@link LettaException}s.
 */
final class Waits {
  /** Longer than anybody waits. */
  static final Duration FOR_EVER = Duration.ofNanos(Long.MAX_VALUE);

  private Waits() {}

  /** Returns nothing when the limit is over. */
  static <T> Optional<T> forNext(BlockingQueue<T> queue, Duration limit) {
    try {
      return Optional.ofNullable(queue.poll(limit.toNanos(), TimeUnit.NANOSECONDS));
    } catch (InterruptedException interrupt) {
      throw LettaException.interrupted(interrupt);
    }
  }

  /** Returns nothing when the limit is over. */
  static <T> Optional<T> forResult(CompletableFuture<T> result, Duration limit) {
    try {
      return Optional.of(result.get(limit.toNanos(), TimeUnit.NANOSECONDS));
    } catch (TimeoutException late) {
      return Optional.empty();
    } catch (InterruptedException interrupt) {
      throw LettaException.interrupted(interrupt);
    } catch (ExecutionException never) {
      throw new AssertionError(never);
    }
  }

  /** Sleeps, but no longer than until the latch opens. */
  static void until(CountDownLatch opened, Duration limit) {
    try {
      opened.await(limit.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupt) {
      throw LettaException.interrupted(interrupt);
    }
  }

  /** Tells whether it is this side that has had enough: then no new try is wanted. */
  static boolean over(LettaException failure) {
    return failure.code() == Status.Code.DEADLINE_EXCEEDED || givenUp();
  }

  /** Tells whether the caller's thread was interrupted, or what it works for was cancelled. */
  static boolean givenUp() {
    return Thread.currentThread().isInterrupted() || Context.current().isCancelled();
  }
}
