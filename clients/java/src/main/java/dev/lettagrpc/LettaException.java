package dev.lettagrpc;

import dev.lettagrpc.v1.ErrorReason;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.Serializable;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A call failed.
 *
 * <p>Tell failures apart by {@link #reason()}, the server's stable word, and by {@link #code()}
 * where there is none: what proxies and broken connections say.
 */
public class LettaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  // What proxies, connections and crashed servers send: no word of the server's own, so another try
  // may meet a healthy one.
  private static final Set<Status.Code> BROKEN_CONNECTION =
      EnumSet.of(
          Status.Code.ABORTED,
          Status.Code.CANCELLED,
          Status.Code.DATA_LOSS,
          Status.Code.DEADLINE_EXCEEDED,
          Status.Code.INTERNAL,
          Status.Code.UNKNOWN);
  private static final Set<String> PASSING_REASONS = Set.of("STREAM_RECYCLED", "TOO_MANY_STREAMS");
  // How entries of metadata end that name a thing.
  private static final List<String> NAMES_OF_THINGS = List.of("_id", "_ids", "name", "label");

  private final Status.Code code;
  private final Refusal refusal;

  /**
   * What the server says of a failure, beside its code; the delay is null where it says nothing.
   */
  record Refusal(
      String reason,
      Map<String, String> metadata,
      Map<String, String> fieldViolations,
      Duration retryDelay)
      implements Serializable {

    static final Refusal NONE = new Refusal("", Map.of(), Map.of(), null);

    Refusal {
      metadata = Map.copyOf(metadata);
    }
  }

  LettaException(String message, Status.Code code, Refusal refusal, Throwable cause) {
    super(message, cause);
    this.code = code;
    this.refusal = refusal;
  }

  /** Returns the exception that a failed call of a generated stub stands for. */
  public static LettaException of(StatusRuntimeException failure) {
    return Statuses.exceptionOf(failure);
  }

  /** A stream fell silent, left events out or ended too early. */
  static LettaException broken(String message) {
    return new LettaException(message, Status.Code.UNAVAILABLE, Refusal.NONE, null);
  }

  static LettaException deadlineExceeded() {
    return new LettaException(
        "the deadline is over; the run goes on", Status.Code.DEADLINE_EXCEEDED, Refusal.NONE, null);
  }

  /** The caller's thread was interrupted; the flag is set again. */
  static LettaException interrupted(InterruptedException cause) {
    Thread.currentThread().interrupt();
    return new LettaException("interrupted", Status.Code.CANCELLED, Refusal.NONE, cause);
  }

  /** Returns the end of a deadline with why the try before it failed, if there was one. */
  LettaException because(Optional<LettaException> before) {
    if (before.isEmpty() || code != Status.Code.DEADLINE_EXCEEDED) {
      return this;
    }
    LettaException cause = before.get();
    String told = super.getMessage() + "; the try before failed: " + cause.getMessage();
    return new LettaException(told, code, refusal, cause);
  }

  /** What happened, the server's word for it, or the code's, and which things it is about. */
  @Override
  public String getMessage() {
    String word = reason().isEmpty() ? code.name() : reason();
    return Stream.concat(Stream.of(word), things())
        .collect(Collectors.joining(", ", super.getMessage() + " (", ")"));
  }

  /** Which agent, run or tool, unless the message says so. Other facts are for programs. */
  private Stream<String> things() {
    String message = super.getMessage();
    return metadata().entrySet().stream()
        .filter(fact -> NAMES_OF_THINGS.stream().anyMatch(fact.getKey()::endsWith))
        .filter(fact -> !message.contains(fact.getValue()))
        .sorted(Map.Entry.comparingByKey())
        .map(fact -> fact.getKey() + "=" + fact.getValue());
  }

  /** The status code of the call. */
  public Status.Code code() {
    return code;
  }

  /**
   * A name of {@link ErrorReason} without its prefix; empty if the failure is no word of the
   * server's.
   */
  public String reason() {
    return refusal.reason();
  }

  /** Tells whether this is the server's reason. */
  public boolean is(ErrorReason other) {
    return !reason().isEmpty() && other.name().equals("ERROR_REASON_" + reason());
  }

  /** Facts for programs, named in errors.proto. */
  public Map<String, String> metadata() {
    return refusal.metadata();
  }

  /** What is wrong with the request, by the path of the field. */
  public Map<String, String> fieldViolations() {
    return refusal.fieldViolations();
  }

  /** How long the server asks to wait before another try. */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(refusal.retryDelay());
  }

  /** Whether the same call may succeed when it is made again. */
  public boolean retryable() {
    if (code == Status.Code.UNAVAILABLE || PASSING_REASONS.contains(reason())) {
      return true;
    }
    return reason().isEmpty() && BROKEN_CONNECTION.contains(code);
  }
}
