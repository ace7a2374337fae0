package dev.lettagrpc;

import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Blocking, with a limit, and with the interrupts and silences of it as {@link LettaException}s.
 */
final class Waits {
  /** Longer than anybody waits. */
  static final Duration FOR_EVER = Duration.ofNanos(Long.MAX_VALUE);

  private Waits() {}

  static <T> T forNext(BlockingQueue<T> queue, Duration limit) {
    try {
      T next = queue.poll(limit.toNanos(), TimeUnit.NANOSECONDS);
      if (next == null) {
        throw silent(limit);
      }
      return next;
    } catch (InterruptedException interrupt) {
      throw LettaException.interrupted(interrupt);
    }
  }

  static <T> T forResult(CompletableFuture<T> result, Duration limit) {
    try {
      return result.get(limit.toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException silence) {
      throw silent(limit);
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

  private static LettaException silent(Duration limit) {
    return LettaException.broken("no word from the server for " + limit.toMillis() + " ms");
  }
}
