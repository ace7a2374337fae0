package dev.lettagrpc;

import dev.lettagrpc.v1.AttachRunRequest;
import dev.lettagrpc.v1.StreamOptions;
import dev.lettagrpc.v1.StreamRunRequest;
import io.grpc.Channel;
import java.util.Optional;

/**
 * How a run's stream is opened: by its start until the server has accepted the run, then by
 * attaching. Repeating the start is safe: the request has an id.
 */
final class Opening {
  private final StreamRunRequest start;
  private final StreamOptions options;
  private final int after;
  private volatile String runId;

  private Opening(StreamRunRequest start, StreamOptions options, int after, String runId) {
    this.start = start;
    this.options = options;
    this.after = after;
    this.runId = runId;
  }

  static Opening of(StreamRunRequest start) {
    return new Opening(start, start.getOptions(), 0, null);
  }

  static Opening of(AttachRunRequest attach) {
    return new Opening(
        null, attach.getOptions(), attach.getAfterSequenceNumber(), attach.getRunId());
  }

  /** The number behind which the stream begins. */
  int after() {
    return after;
  }

  StreamOptions options() {
    return options;
  }

  Optional<String> runId() {
    return Optional.ofNullable(runId);
  }

  boolean isAccepted() {
    return runId != null;
  }

  void accepted(String id) {
    if (runId == null) {
      runId = id;
    }
  }

  /** Begins a call that goes on behind this number. */
  EventCall dial(Channel channel, int position) {
    if (runId == null) {
      return EventCall.start(channel, start);
    }
    AttachRunRequest request =
        AttachRunRequest.newBuilder()
            .setRunId(runId)
            .setAfterSequenceNumber(position)
            .setOptions(options)
            .build();
    return EventCall.attach(channel, request);
  }
}
