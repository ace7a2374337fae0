package dev.lettagrpc;

import static dev.lettagrpc.Events.delta;
import static dev.lettagrpc.Events.finished;
import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lettagrpc.v1.RunEvent;
import io.grpc.Status;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PublicationTest {
  private final Reader reader = new Reader();
  private Stage stage;
  private LettaClient client;

  @BeforeEach
  void open() throws IOException {
    stage = new Stage();
    client = stage.client();
  }

  @AfterEach
  void close() {
    client.close();
    stage.close();
  }

  @Test
  void aSubscriberGetsWhatItRequestsAndThenTheEnd() throws Exception {
    stage.then(call -> call.send(started(1), delta(2, "m", "Hi"), finished(3)).end());
    client.stream("agent-1", "hello").subscribe(reader);

    reader.subscription().request(2);
    assertEquals(List.of(1, 2), List.of(reader.next(), reader.next()));
    assertTrue(reader.got.isEmpty());
    reader.subscription().request(1);

    assertEquals(3, reader.next());
    reader.end.join();
  }

  @Test
  void aFailureEndsTheSubscription() {
    stage.then(call -> call.fail(Status.NOT_FOUND));
    client.stream("agent-1", "hello").subscribe(reader);

    CompletionException failure = assertThrows(CompletionException.class, reader.end::join);

    assertEquals(Status.Code.NOT_FOUND, ((LettaException) failure.getCause()).code());
  }

  @Test
  void cancellingTheSubscriptionClosesTheStreamAndNotTheRun() throws Exception {
    stage.then(call -> call.send(started(1)));
    client.stream("agent-1", "hello").subscribe(reader);
    reader.subscription().request(Long.MAX_VALUE);
    reader.next();

    reader.subscription().cancel();

    assertTrue(stage.hungUp.await(30, TimeUnit.SECONDS));
    assertTrue(stage.cancelled.isEmpty());
  }

  @Test
  void requestingNothingIsAnError() throws Exception {
    stage.then(call -> call.send(started(1)));
    client.stream("agent-1", "hello").subscribe(reader);

    reader.subscription().request(0);

    CompletionException failure = assertThrows(CompletionException.class, reader.end::join);
    assertEquals(IllegalArgumentException.class, failure.getCause().getClass());
  }

  @Test
  void aStreamHasOneSubscriber() {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    stream.subscribe(new Reader());

    stream.subscribe(reader);

    CompletionException failure = assertThrows(CompletionException.class, reader.end::join);
    assertEquals(IllegalStateException.class, failure.getCause().getClass());
  }

  /** Notes the numbers of what it gets. */
  private static final class Reader implements Flow.Subscriber<RunEvent> {
    final BlockingQueue<Integer> got = new LinkedBlockingQueue<>();
    final CompletableFuture<Void> end = new CompletableFuture<>();
    private final CompletableFuture<Flow.Subscription> subscription = new CompletableFuture<>();

    Flow.Subscription subscription() {
      return subscription.join();
    }

    int next() throws InterruptedException {
      return got.take();
    }

    @Override
    public void onSubscribe(Flow.Subscription given) {
      subscription.complete(given);
    }

    @Override
    public void onNext(RunEvent event) {
      got.add(event.getSequenceNumber());
    }

    @Override
    public void onError(Throwable failure) {
      end.completeExceptionally(failure);
    }

    @Override
    public void onComplete() {
      end.complete(null);
    }
  }
}
