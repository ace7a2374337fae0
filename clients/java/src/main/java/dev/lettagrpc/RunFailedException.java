package dev.lettagrpc;

import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunError;
import io.grpc.Status;
import java.util.Map;

/**
 * The run ended FAILED. Reason and metadata are those of the run's error; the code is OK, because
 * the call did not fail.
 */
public final class RunFailedException extends LettaException {
  private static final long serialVersionUID = 1L;

  private final Run run;

  RunFailedException(Run run) {
    super(message(run.getError()), Status.Code.OK, refusal(run.getError()), null);
    this.run = run;
  }

  /** The run as it ended. */
  public Run run() {
    return run;
  }

  private static String message(RunError error) {
    return error.getMessage().isEmpty() ? "the run failed" : error.getMessage();
  }

  private static Refusal refusal(RunError error) {
    return new Refusal(error.getReason(), error.getMetadataMap(), Map.of(), null);
  }
}
