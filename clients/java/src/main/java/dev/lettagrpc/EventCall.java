package dev.lettagrpc;

import dev.lettagrpc.v1.AttachRunRequest;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunServiceGrpc;
import dev.lettagrpc.v1.StreamRunRequest;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * One streaming call, from its start to its first failure or its end.
 *
 * <p>It has no deadline: a run may take its time; silence is what ends it.
 */
final class EventCall {
  /** Some events of a run, in order. */
  record Batch(String runId, List<RunEvent> events) {}

  private static final Metadata.Key<String> RUN_ID =
      Metadata.Key.of("letta-run-id", Metadata.ASCII_STRING_MARSHALLER);
  // How many responses grpc may hold for a reader that is slow; what is beyond waits on the server.
  private static final int READ_AHEAD = 4;
  // grpc's own threads deliver: all they do is put things into the queue.
  private static final CallOptions OPTIONS = CallOptions.DEFAULT.withExecutor(Runnable::run);

  private final ClientCall<?, ?> call;
  private final CompletableFuture<Optional<String>> accepted = new CompletableFuture<>();
  private final BlockingQueue<Received> inbox = new LinkedBlockingQueue<>();

  private sealed interface Received {
    record Response(Batch batch) implements Received {}

    record End(Status status, Metadata trailers) implements Received {}
  }

  private <Q, S> EventCall(
      Channel channel, MethodDescriptor<Q, S> method, Q request, Function<S, Batch> read) {
    ClientCall<Q, S> started = channel.newCall(method, OPTIONS);
    call = started;
    started.start(new Listener<>(read), new Metadata());
    started.request(READ_AHEAD);
    started.sendMessage(request);
    started.halfClose();
  }

  static EventCall start(Channel channel, StreamRunRequest request) {
    return new EventCall(
        channel,
        RunServiceGrpc.getStreamRunMethod(),
        request,
        response -> new Batch(response.getRunId(), response.getEventsList()));
  }

  static EventCall attach(Channel channel, AttachRunRequest request) {
    return new EventCall(
        channel,
        RunServiceGrpc.getAttachRunMethod(),
        request,
        response -> new Batch(response.getRunId(), response.getEventsList()));
  }

  /** Waits until the call is accepted, or has failed; false when the limit is over. */
  boolean isTakenUp(Duration limit) {
    return Waits.forResult(accepted, limit).isPresent();
  }

  /** The run of a call that was taken up; nothing if it has failed: {@link #read} tells why. */
  Optional<String> runId() {
    return accepted.join();
  }

  /**
   * Returns the next response, or nothing behind the last one of a call that ended OK. Throws what
   * {@code late} gives when the limit is over.
   */
  Optional<Batch> read(Duration limit, Supplier<LettaException> late) {
    Received received = Waits.forNext(inbox, limit).orElseThrow(late);
    if (received instanceof Received.Response response) {
      call.request(1);
      return Optional.of(response.batch());
    }
    Received.End end = (Received.End) received;
    // Whoever asks again is told again.
    inbox.add(end);
    if (end.status().isOk()) {
      return Optional.empty();
    }
    throw LettaException.of(end.status().asRuntimeException(end.trailers()));
  }

  /** Ends the call, from any thread; who waits for it is told. */
  void close() {
    call.cancel("closed by the reader", null);
  }

  private final class Listener<S> extends ClientCall.Listener<S> {
    private final Function<S, Batch> read;

    Listener(Function<S, Batch> read) {
      this.read = read;
    }

    @Override
    public void onHeaders(Metadata headers) {
      accepted.complete(Optional.ofNullable(headers.get(RUN_ID)));
    }

    @Override
    public void onMessage(S response) {
      inbox.add(new Received.Response(read.apply(response)));
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      inbox.add(new Received.End(status, trailers));
      accepted.complete(Optional.empty());
    }
  }
}
