package dev.lettagrpc;

import dev.lettagrpc.v1.AttachRunRequest;
import dev.lettagrpc.v1.AttachRunResponse;
import dev.lettagrpc.v1.CancelRunRequest;
import dev.lettagrpc.v1.CancelRunResponse;
import dev.lettagrpc.v1.GetRunRequest;
import dev.lettagrpc.v1.GetRunResponse;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunServiceGrpc;
import dev.lettagrpc.v1.StreamRunRequest;
import dev.lettagrpc.v1.StreamRunResponse;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;

/**
 * A server in this process that plays one scene after the other, and remembers what it was asked.
 */
final class Stage implements AutoCloseable {
  static final String RUN_ID = "run-1";
  static final RetryPolicy QUICK =
      RetryPolicy.defaults().withDelays(Duration.ofMillis(1), Duration.ofMillis(5));

  private static final Metadata.Key<String> RUN_ID_KEY =
      Metadata.Key.of("letta-run-id", Metadata.ASCII_STRING_MARSHALLER);
  static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  final List<StreamRunRequest> starts = new CopyOnWriteArrayList<>();
  final List<Integer> attachedAfter = new CopyOnWriteArrayList<>();
  final List<String> cancelled = new CopyOnWriteArrayList<>();
  final List<String> authorizations = new CopyOnWriteArrayList<>();

  /** Opens when a reader has hung up on a call that was still at work. */
  final CountDownLatch hungUp = new CountDownLatch(1);

  /** Opens when a first run is asked for. */
  final CountDownLatch asked = new CountDownLatch(1);

  private final BlockingQueue<Consumer<Scene>> scenes = new LinkedBlockingQueue<>();
  private final Queue<Consumer<StreamObserver<GetRunResponse>>> answers =
      new ConcurrentLinkedQueue<>();
  private final Server server;
  private final ManagedChannel channel;
  private volatile Run run = Events.run();

  Stage() throws IOException {
    String name = InProcessServerBuilder.generateName();
    server =
        InProcessServerBuilder.forName(name)
            .addService(new Runs())
            .intercept(new Announcement())
            .build()
            .start();
    channel = InProcessChannelBuilder.forName(name).build();
  }

  /** Plays this to the next call that starts or follows a run. */
  Stage then(Consumer<Scene> scene) {
    scenes.add(scene);
    return this;
  }

  /** Does this to the next call that asks for the run. */
  Stage thenAsked(Consumer<StreamObserver<GetRunResponse>> answer) {
    answers.add(answer);
    return this;
  }

  /** Says this of the run to who asks. */
  Stage knowing(Run told) {
    run = told;
    return this;
  }

  LettaClient client() {
    return client(QUICK);
  }

  LettaClient client(RetryPolicy retry) {
    return builder().retry(retry).build();
  }

  LettaClient client(Executor executor) {
    return builder().retry(QUICK).executor(executor).build();
  }

  LettaClientBuilder builder() {
    return LettaClient.builder().channel(channel).apiKey("key");
  }

  @Override
  public void close() {
    channel.shutdownNow();
    server.shutdownNow();
  }

  /** One call, seen from the server. */
  final class Scene {
    private final ServerCallStreamObserver<?> observer;
    private final Consumer<List<RunEvent>> sink;

    private Scene(ServerCallStreamObserver<?> observer, Consumer<List<RunEvent>> sink) {
      this.observer = observer;
      this.sink = sink;
      observer.setOnCancelHandler(hungUp::countDown);
    }

    Scene send(RunEvent... events) {
      sink.accept(List.of(events));
      return this;
    }

    void end() {
      observer.onCompleted();
    }

    void fail(Status status) {
      observer.onError(status.asRuntimeException());
    }

    void fail(Throwable failure) {
      observer.onError(failure);
    }

    /** Whether grpc would hand more to the reader at once. */
    boolean isReady() {
      return observer.isReady();
    }
  }

  private final class Runs extends RunServiceGrpc.RunServiceImplBase {
    @Override
    public void streamRun(StreamRunRequest request, StreamObserver<StreamRunResponse> observer) {
      starts.add(request);
      asked.countDown();
      var call = (ServerCallStreamObserver<StreamRunResponse>) observer;
      play(
          new Scene(
              call,
              events ->
                  call.onNext(
                      StreamRunResponse.newBuilder()
                          .setRunId(RUN_ID)
                          .addAllEvents(events)
                          .build())));
    }

    @Override
    public void attachRun(AttachRunRequest request, StreamObserver<AttachRunResponse> observer) {
      attachedAfter.add(request.getAfterSequenceNumber());
      var call = (ServerCallStreamObserver<AttachRunResponse>) observer;
      play(
          new Scene(
              call,
              events ->
                  call.onNext(
                      AttachRunResponse.newBuilder()
                          .setRunId(RUN_ID)
                          .addAllEvents(events)
                          .build())));
    }

    @Override
    public void getRun(GetRunRequest request, StreamObserver<GetRunResponse> observer) {
      Consumer<StreamObserver<GetRunResponse>> next = answers.poll();
      if (next != null) {
        next.accept(observer);
        return;
      }
      observer.onNext(GetRunResponse.newBuilder().setRun(run).build());
      observer.onCompleted();
    }

    @Override
    public void cancelRun(CancelRunRequest request, StreamObserver<CancelRunResponse> observer) {
      cancelled.add(request.getRunId());
      observer.onNext(CancelRunResponse.newBuilder().setRun(run).build());
      observer.onCompleted();
    }

    private void play(Scene scene) {
      Consumer<Scene> next = scenes.poll();
      if (next == null) {
        scene.fail(Status.UNAVAILABLE.withDescription("the play is over"));
      } else {
        next.accept(scene);
      }
    }
  }

  /** Sends the run's id ahead of the first event, and notes who asks. */
  private final class Announcement implements ServerInterceptor {
    @Override
    public <Q, S> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, S> call, Metadata headers, ServerCallHandler<Q, S> next) {
      authorizations.add(headers.get(AUTHORIZATION));
      return next.startCall(
          new SimpleForwardingServerCall<>(call) {
            @Override
            public void sendHeaders(Metadata own) {
              own.put(RUN_ID_KEY, RUN_ID);
              super.sendHeaders(own);
            }
          },
          headers);
    }
  }
}
