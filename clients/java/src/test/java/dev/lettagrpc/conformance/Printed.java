package dev.lettagrpc.conformance;

import dev.lettagrpc.LettaException;
import dev.lettagrpc.RunStream;
import dev.lettagrpc.v1.PendingAction;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunEvent;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What the program saw of a run. */
record Printed(
    List<Integer> events, String text, String state, Failure error, List<String> pending) {

  record Failure(
      String code, String reason, Map<String, String> metadata, Map<String, String> fields) {}

  /** Reads a stream as far as the action goes. */
  static Printed of(RunStream stream, String action) {
    List<Integer> events = new ArrayList<>();
    Failure error = null;
    Run run = null;
    try (stream) {
      if (action.equals("deadline")) {
        stream.withDeadlineAfter(Duration.ofSeconds(1));
      }
      for (RunEvent event : stream) {
        events.add(event.getSequenceNumber());
        if (event.hasTextDelta() && action.equals("cancel")) {
          stream.cancel();
        } else if (event.hasTextDelta() && action.equals("close")) {
          stream.close();
        }
      }
      if (!action.equals("close")) {
        run = stream.finalRun();
        error = failureOf(run);
      }
    } catch (LettaException failure) {
      error = failureOf(failure);
    }
    List<String> pending =
        stream.pendingActions().stream().map(PendingAction::getToolCallId).toList();
    return new Printed(events, stream.soFar().text(), stateOf(run), error, pending);
  }

  Printed waitedFor(List<String> calls) {
    return new Printed(events, text, state, error, calls);
  }

  private static String stateOf(Run run) {
    return run == null ? null : run.getState().name().replaceFirst("^RUN_STATE_", "");
  }

  private static Failure failureOf(LettaException failure) {
    return new Failure(
        failure.code().name(), failure.reason(), failure.metadata(), failure.fieldViolations());
  }

  private static Failure failureOf(Run run) {
    return run.hasError()
        ? new Failure("", run.getError().getReason(), run.getError().getMetadataMap(), Map.of())
        : null;
  }
}
