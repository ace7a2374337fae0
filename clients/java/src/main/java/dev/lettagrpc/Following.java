package dev.lettagrpc;

import dev.lettagrpc.v1.AttachRunRequest;
import dev.lettagrpc.v1.GetRunRequest;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunServiceGrpc;
import dev.lettagrpc.v1.RunState;
import dev.lettagrpc.v1.StreamOptions;
import dev.lettagrpc.v1.StreamRunRequest;
import io.grpc.Deadline;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
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

  private static final Duration HEARTBEAT = Duration.ofSeconds(15);
  private static final int SILENT_INTERVALS = 3;
  // How long the status may take to come behind the run's last event.
  private static final Duration FAREWELL = Duration.ofSeconds(5);

  private final Connection connection;
  private final StreamRunRequest start;
  private final StreamOptions options;
  private final Duration silence;
  private final Cursor cursor;
  private final Backoff backoff;
  private final Queue<RunEvent> waiting = new ArrayDeque<>();
  // One step is taken at a time. Fair, so that who wants the run's id gets in between two steps of
  // a reader.
  private final ReentrantLock step = new ReentrantLock(true);
  private final CountDownLatch closed = new CountDownLatch(1);

  private volatile String runId;
  private volatile EventCall call;
  private volatile Deadline deadline;
  private boolean ended;
  private Run verified;

  /** Starts a run with the first step. Repeating that is safe: the request has an id. */
  Following(Connection connection, StreamRunRequest start) {
    this(connection, start, null, 0, start.getOptions());
  }

  /** Follows a run that there is. */
  Following(Connection connection, AttachRunRequest attach) {
    this(
        connection,
        null,
        attach.getRunId(),
        attach.getAfterSequenceNumber(),
        attach.getOptions());
  }

  private Following(
      Connection connection,
      StreamRunRequest start,
      String runId,
      int after,
      StreamOptions options) {
    this.connection = connection;
    this.start = start;
    this.runId = runId;
    this.options = options;
    this.silence = silenceLimit(options);
    this.cursor = new Cursor(after, options);
    this.backoff = connection.backoff();
  }

  void setDeadline(Deadline deadline) {
    this.deadline = deadline;
  }

  Optional<String> runId() {
    return Optional.ofNullable(runId);
  }

  /** The end of a run that was asked for, where no event told it. */
  Optional<Run> verified() {
    return Optional.ofNullable(verified);
  }

  /** Waits for the next event; false at the end of the run, and once closed. */
  boolean hasNext() {
    while (true) {
      step.lock();
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
    while (runId == null) {
      step.lock();
      try {
        requireOpen();
        if (runId == null) {
          advance();
        }
      } finally {
        step.unlock();
      }
    }
    return runId;
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

  /** The time that a call may take without a deadline of its own. */
  Duration callLimit() {
    return within(connection.timeout());
  }

  /** Takes one step: dials, or reads one response, or sleeps after a failure. */
  private void advance() {
    try {
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
    if (Waits.givenUp()) {
      throw failure;
    }
    if (isOver()) {
      throw LettaException.deadlineExceeded(failure);
    }
    RetryPolicy retry = connection.retry();
    // Until the run is accepted the caller waits for an answer, not for a stream.
    int attempts = runId == null ? retry.callAttempts() : retry.streamAttempts();
    Duration delay = backoff.delayAfter(failure, attempts);
    connection.redial();
    Waits.until(closed, within(delay));
  }

  private void dial() {
    requireTime();
    EventCall dialed =
        runId == null
            ? EventCall.start(connection.channel(), start)
            : EventCall.attach(connection.channel(), attachment());
    call = dialed;
    if (isClosed()) {
      // Closed in between, by somebody who could not see the call yet.
      dialed.close();
    }
    Optional<String> accepted = dialed.runId(within(silence));
    if (runId == null) {
      runId = accepted.orElse(null);
    }
  }

  private AttachRunRequest attachment() {
    return AttachRunRequest.newBuilder()
        .setRunId(runId)
        .setAfterSequenceNumber(cursor.position())
        .setOptions(options)
        .build();
  }

  private void read(EventCall current) {
    if (cursor.finished()) {
      takeLeave(current);
      return;
    }
    requireTime();
    Optional<EventCall.Batch> batch = current.read(within(silence));
    if (batch.isEmpty()) {
      verifyEnd();
      return;
    }
    if (runId == null) {
      runId = batch.get().runId();
    }
    batch.get().events().forEach(this::take);
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
      current.read(FAREWELL);
    } catch (LettaException tooLate) {
      // The run's last event has come: however the call ends, nothing is missing.
    }
    hangUp();
  }

  /** OK without {@code run_finished} is right behind the last event of a finished run alone. */
  private void verifyEnd() {
    if (runId == null) {
      throw LettaException.broken("the stream ended before the run was accepted");
    }
    GetRunRequest request = GetRunRequest.newBuilder().setRunId(runId).build();
    Run run =
        connection.ask(RunServiceGrpc.getGetRunMethod(), request, callLimit()).getRun();
    if (!FINAL_STATES.contains(run.getState())
        || run.getLastSequenceNumber() > cursor.position()) {
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

  private void requireTime() {
    if (isOver()) {
      throw LettaException.deadlineExceeded(null);
    }
  }

  private boolean isOver() {
    Deadline limit = deadline;
    return limit != null && limit.isExpired();
  }

  private Duration within(Duration span) {
    Deadline limit = deadline;
    if (limit == null) {
      return span;
    }
    Duration left = Duration.ofNanos(Math.max(0, limit.timeRemaining(TimeUnit.NANOSECONDS)));
    return left.compareTo(span) < 0 ? left : span;
  }

  /** How long without a word means that a stream is dead; for ever without heartbeats. */
  private static Duration silenceLimit(StreamOptions options) {
    Duration interval =
        options.hasHeartbeatInterval()
            ? Statuses.duration(options.getHeartbeatInterval())
            : HEARTBEAT;
    return interval.isZero() ? Waits.FOR_EVER : interval.multipliedBy(SILENT_INTERVALS);
  }
}
