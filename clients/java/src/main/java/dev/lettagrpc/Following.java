package dev.lettagrpc;

import dev.lettagrpc.v1.CancelRunRequest;
import dev.lettagrpc.v1.GetRunRequest;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunServiceGrpc;
import dev.lettagrpc.v1.RunState;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Follows one run across any number of broken connections.
 *
 * <p>When the connection breaks, falls silent, or leaves something out, it attaches again behind
 * the last event it has. It gives up, and throws, on a failure that no new try helps, or after the
 * policy's attempts without progress; being asked once more it goes on where it stopped.
 */
final class Following {
  static final Set<RunState> FINAL_STATES =
      EnumSet.of(
          RunState.RUN_STATE_COMPLETED,
          RunState.RUN_STATE_INTERRUPTED,
          RunState.RUN_STATE_FAILED,
          RunState.RUN_STATE_CANCELLED);

  // How long it may take to be connected. A server that is has the time of any call to answer.
  private static final Duration DIALING = Duration.ofSeconds(5);

  // How long the status may take to come behind the run's last event.
  private static final Duration FAREWELL = Duration.ofSeconds(5);

  private final Connection connection;
  private final Opening opening;
  private final Limits limits;
  private final Cursor cursor;
  private final Backoff backoff;
  private final Queue<RunEvent> waiting = new ArrayDeque<>();
  // One step is taken at a time. Fair, so that who wants the run's id gets in between two steps of
  // a reader.
  private final ReentrantLock step = new ReentrantLock(true);
  private final CountDownLatch closed = new CountDownLatch(1);

  private volatile EventCall call;
  private boolean ended;
  private Run verified;

  Following(Connection connection, Opening opening) {
    this.connection = connection;
    this.opening = opening;
    this.limits = new Limits(opening.options());
    this.cursor = new Cursor(opening.after(), opening.options());
    this.backoff = connection.backoff();
  }

  /** The run; nothing until the server has accepted it. */
  Optional<String> runId() {
    return opening.runId();
  }

  /** What is waited for here. */
  Limits limits() {
    return limits;
  }

  /** The end of a run that was asked for, where no event told it. */
  Optional<Run> verified() {
    return Optional.ofNullable(verified);
  }

  /** Waits for the next event; false at the end of the run, and once closed. */
  boolean hasNext() {
    while (true) {
      takeTurn();
      try {
        if (isClosed()) {
          return false;
        }
        if (!waiting.isEmpty() || ended) {
          return !waiting.isEmpty();
        }
        advance();
      } finally {
        step.unlock();
      }
    }
  }

  /** Tells whether there is an event for which nobody has to wait. */
  boolean isReady() {
    step.lock();
    try {
      return !waiting.isEmpty();
    } finally {
      step.unlock();
    }
  }

  /** Returns the event that {@link #hasNext} waited for. */
  RunEvent next() {
    step.lock();
    try {
      return waiting.remove();
    } finally {
      step.unlock();
    }
  }

  /** Waits until the server has accepted the run; returns its id. */
  String started() {
    while (!opening.isAccepted()) {
      takeTurn();
      try {
        requireOpen();
        if (!opening.isAccepted()) {
          advance();
        }
      } finally {
        step.unlock();
      }
    }
    return opening.runId().orElseThrow();
  }

  /** Stops following, from any thread: who waits is woken. */
  void close() {
    closed.countDown();
    EventCall current = call;
    if (current != null) {
      current.close();
    }
  }

  boolean isClosed() {
    return closed.getCount() == 0;
  }

  void requireOpen() {
    if (isClosed()) {
      throw new IllegalStateException("the stream was closed before the run ended");
    }
  }

  /** Asks the run to end. The limits are for reading: this has the time that any call has. */
  Run cancel() {
    CancelRunRequest request = CancelRunRequest.newBuilder().setRunId(started()).build();
    return connection
        .ask(RunServiceGrpc.getCancelRunMethod(), request, connection.timeout())
        .getRun();
  }

  /** Waits while somebody else takes a step, which may be for as long as a call may take. */
  private void takeTurn() {
    try {
      step.lockInterruptibly();
    } catch (InterruptedException interrupt) {
      throw LettaException.interrupted(interrupt);
    }
  }

  /** Takes one step: dials, or reads one response, or sleeps after a failure. */
  private void advance() {
    try {
      if (limits.areOver()) {
        throw LettaException.deadlineExceeded().because(backoff.last());
      }
      if (call == null) {
        dial();
      } else {
        read(call);
      }
    } catch (LettaException failure) {
      hangUp();
      if (!isClosed() && !ended) {
        recover(failure);
      }
    }
  }

  private void recover(LettaException failure) {
    if (Waits.givenUp() || connection.isShutDown()) {
      throw failure;
    }
    if (limits.areOver()) {
      boolean told = failure.code() == Status.Code.DEADLINE_EXCEEDED;
      throw told ? failure : LettaException.deadlineExceeded().because(Optional.of(failure));
    }
    RetryPolicy retry = connection.retry();
    // Until the run is accepted the caller waits for an answer, not for a stream.
    int attempts = opening.isAccepted() ? retry.streamAttempts() : retry.callAttempts();
    Duration delay = backoff.delayAfter(failure, attempts);
    connection.redial();
    Waits.until(closed, limits.within(delay));
  }

  private void dial() {
    EventCall dialed = opening.dial(connection.channel(), cursor.position());
    call = dialed;
    if (isClosed()) {
      // Closed in between, by somebody who could not see the call yet.
      dialed.close();
    }
    // No heartbeat is due before the server has the call.
    Duration limit = limits.within(connection.timeout());
    Duration first = limit.compareTo(DIALING) < 0 ? limit : DIALING;
    if (!dialed.isTakenUp(first)) {
      Duration rest = connection.isUp() ? limit.minus(first) : Duration.ZERO;
      if (!dialed.isTakenUp(rest)) {
        throw late(first.plus(rest));
      }
    }
    dialed.runId().ifPresent(opening::accepted);
  }

  private void read(EventCall current) {
    if (cursor.finished()) {
      takeLeave(current);
      return;
    }
    Duration limit = limits.silence();
    Optional<EventCall.Batch> batch = current.read(limit, () -> late(limit));
    if (batch.isEmpty()) {
      verifyEnd();
      return;
    }
    opening.accepted(batch.get().runId());
    batch.get().events().forEach(this::take);
  }

  /** Says what it means that nothing came: the reader's time is over, or the server is silent. */
  private LettaException late(Duration limit) {
    return limits.areOver()
        ? LettaException.deadlineExceeded().because(backoff.last())
        : LettaException.broken("no word from the server for " + limit.toMillis() + " ms");
  }

  private void take(RunEvent event) {
    boolean fresh = cursor.passes(event);
    if (fresh) {
      waiting.add(event);
    }
    if (fresh || event.hasHeartbeat()) {
      backoff.reset();
    }
  }

  /** Lets the call end by itself: hanging up would look like a lost reader to the server. */
  private void takeLeave(EventCall current) {
    try {
      current.read(FAREWELL, () -> late(FAREWELL));
    } catch (LettaException tooLate) {
      // The run's last event has come: however the call ends, nothing is missing.
    }
    hangUp();
  }

  /** OK without {@code run_finished} is right behind the last event of a finished run alone. */
  private void verifyEnd() {
    String runId =
        opening
            .runId()
            .orElseThrow(
                () -> LettaException.broken("the stream ended before the run was accepted"));
    GetRunRequest request = GetRunRequest.newBuilder().setRunId(runId).build();
    Duration limit = limits.within(connection.timeout());
    Run run = connection.ask(RunServiceGrpc.getGetRunMethod(), request, limit).getRun();
    if (!FINAL_STATES.contains(run.getState()) || run.getLastSequenceNumber() > cursor.position()) {
      throw LettaException.broken(
          "the stream ended after event %d, before the run did".formatted(cursor.position()));
    }
    verified = run;
    ended = true;
    hangUp();
  }

  private void hangUp() {
    EventCall current = call;
    call = null;
    // Behind the run's last event nothing is worth another call, however this one went.
    ended = ended || cursor.finished();
    if (current != null) {
      current.close();
    }
  }
}
