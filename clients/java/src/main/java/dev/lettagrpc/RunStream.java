package dev.lettagrpc;

import dev.lettagrpc.v1.Message;
import dev.lettagrpc.v1.PendingAction;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunState;
import io.grpc.Deadline;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * The events of one run, each exactly once and in order.
 *
 * <p>Iterating blocks for events until the run has finished. When the connection breaks, falls
 * silent, or leaves something out, the stream attaches again behind the last event it has. It gives
 * up with a {@link LettaException} on a failure that no new try helps, or after the retry policy's
 * attempts without progress; iterating once more then goes on where it stopped.
 *
 * <p>The run starts with the first use. Closing ends the following, not the run: {@link #cancel}
 * does. One reader at a time; {@code cancel}, {@code started} and {@code close} may be called
 * beside it, from any thread.
 */
public final class RunStream
    implements Iterable<RunEvent>, Flow.Publisher<RunEvent>, AutoCloseable {
  private final Following following;
  private final Executor executor;
  private final Accumulator accumulator = new Accumulator();
  private final AtomicReference<Publication> published = new AtomicReference<>();
  private volatile int last;

  RunStream(Connection connection, Opening opening, Executor executor) {
    this.following = new Following(connection, opening);
    this.last = opening.after();
    this.executor = executor;
  }

  /**
   * Bounds all that is read from this stream from now on, new tries included. Behind the deadline
   * it throws DEADLINE_EXCEEDED, because of what the try before failed with, if there was one; the
   * run goes on, and can still be cancelled.
   */
  public RunStream withDeadlineAfter(Duration span) {
    following.limits().setDeadline(Deadline.after(span.toNanos(), TimeUnit.NANOSECONDS));
    return this;
  }

  /** The run; empty until the server has accepted it: see {@link #started}. */
  public String runId() {
    return following.runId().orElse("");
  }

  /** Waits until the server has accepted the run; returns its id. */
  public String started() {
    return following.started();
  }

  /**
   * The number of the last event handed on: {@link LettaClient#attach} after it goes on from here,
   * in another process too.
   */
  public int lastSequenceNumber() {
    return last;
  }

  /** What the events handed on up to now add up to. */
  public Accumulator soFar() {
    return accumulator;
  }

  /** The calls that wait for answers, once the run has ended because of them. */
  public List<PendingAction> pendingActions() {
    return accumulator.pendingActions();
  }

  /** Reads on from the last event handed on, whoever had it. */
  @Override
  public Iterator<RunEvent> iterator() {
    return new Iterator<>() {
      private boolean promised;

      @Override
      public boolean hasNext() {
        promised = following.hasNext();
        if (!promised) {
          following.verified().ifPresent(accumulator::put);
        }
        return promised;
      }

      @Override
      public RunEvent next() {
        // Closed between hasNext and next, from another thread, a loop ends with its next turn.
        if (!(promised && following.isReady()) && !hasNext()) {
          throw new NoSuchElementException("the run has ended");
        }
        promised = false;
        RunEvent event = following.next();
        last = event.getSequenceNumber();
        accumulator.add(event);
        return event;
      }
    };
  }

  /** The text as it comes. Should a step be restarted, what it had said is said again. */
  public Stream<String> textDeltas() {
    return StreamSupport.stream(spliterator(), false)
        .filter(RunEvent::hasTextDelta)
        .map(event -> event.getTextDelta().getText());
  }

  /** Reads to the end; returns the run as it ended, whatever its state. */
  public Run finalRun() {
    forEach(event -> {});
    return ended();
  }

  /** Returns the run as it ended. Throws if it hasn't: what there was to read was no more. */
  Run ended() {
    Run run = accumulator.run().orElse(null);
    if (run != null && Following.FINAL_STATES.contains(run.getState())) {
      return run;
    }
    following.requireOpen();
    throw LettaException.broken("the stream ended before the run did");
  }

  /** Reads to the end; returns the messages that were completed on this stream. */
  public List<Message> messages() {
    finalRun();
    return accumulator.messages();
  }

  /**
   * Reads to the end; returns the texts of the completed assistant messages, with a blank line
   * between them. What a cancelled run had said is returned.
   *
   * @throws RunFailedException if the run FAILED
   */
  public String text() {
    Run run = finalRun();
    if (run.getState() == RunState.RUN_STATE_FAILED) {
      throw new RunFailedException(run);
    }
    return accumulator.text();
  }

  /** {@link #finalRun} on the client's executor. Cancelling it, or its timeout, closes the stream. */
  public CompletableFuture<Run> finalRunAsync() {
    return reading(this::finalRun);
  }

  /** {@link #text} on the client's executor. Cancelling it, or its timeout, closes the stream. */
  public CompletableFuture<String> textAsync() {
    return reading(this::text);
  }

  private <T> CompletableFuture<T> reading(Supplier<T> work) {
    CompletableFuture<T> reading = CompletableFuture.supplyAsync(work, executor);
    // The copy is the caller's to end. Were it the reading itself, nobody could tell who ended it:
    // a reading that failed leaves the stream open, so that it can be read on.
    CompletableFuture<T> handedOut = reading.copy();
    handedOut.whenComplete(
        (result, failure) -> {
          if (!reading.isDone()) {
            close();
          }
        });
    return handedOut;
  }

  /**
   * Hands the events to the one subscriber that a stream may have, as many as it requests, on a
   * thread of the client's executor. Cancelling the subscription closes the stream. A subscriber
   * whose stream somebody else closes before the run has ended gets an {@link
   * IllegalStateException}.
   */
  @Override
  public void subscribe(Flow.Subscriber<? super RunEvent> subscriber) {
    Publication publication = new Publication(this, subscriber);
    if (published.compareAndSet(null, publication)) {
      executor.execute(publication);
    } else {
      publication.refuse(new IllegalStateException("the stream has a subscriber"));
    }
  }

  /**
   * Asks the run to end, for everyone; returns it as it is. The stream goes on to the run's end.
   */
  public Run cancel() {
    return following.cancel();
  }

  /** Stops following; the run goes on. Does nothing when the stream has ended. */
  @Override
  public void close() {
    following.close();
    Publication publication = published.get();
    if (publication != null) {
      publication.wake();
    }
  }

  boolean isClosed() {
    return following.isClosed();
  }
}
