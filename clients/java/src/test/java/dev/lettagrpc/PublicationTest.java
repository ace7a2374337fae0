package dev.lettagrpc;

import static dev.lettagrpc.Events.delta;
import static dev.lettagrpc.Events.finished;
import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lettagrpc.v1.RunEvent;
import io.grpc.Status;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
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

    assertEquals(Status.Code.NOT_FOUND, ((LettaException) reader.failure()).code());
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
  void aSubscriberWithoutDemandIsToldThatTheStreamIsClosedAndItsThreadIsFreed() throws Exception {
    stage.then(call -> call.send(started(1), delta(2, "m", "Hi")));
    Deliveries threads = new Deliveries();
    try (LettaClient own = stage.client(threads)) {
      RunStream stream = own.stream("agent-1", "hello");
      stream.subscribe(reader);
      reader.subscription().request(1);
      reader.next();
      threads.awaitIdle();

      stream.close();

      assertEquals(IllegalStateException.class, reader.failure().getClass());
      threads.awaitEnd();
    }
  }

  @Test
  void closingTheClientInMidRunIsNoEndOfTheRun() throws Exception {
    stage.then(call -> call.send(started(1)));
    client.stream("agent-1", "hello").subscribe(reader);
    reader.subscription().request(Long.MAX_VALUE);
    reader.next();

    client.close();

    assertEquals(IllegalStateException.class, reader.failure().getClass());
  }

  @Test
  void aSubscriberWhoCancelsIsToldNothingMore() throws Exception {
    stage.then(call -> call.send(started(1), delta(2, "m", "Hi")));
    Deliveries threads = new Deliveries();
    try (LettaClient own = stage.client(threads)) {
      own.stream("agent-1", "hello").subscribe(reader);
      reader.subscription().request(1);
      reader.next();

      reader.subscription().cancel();
      threads.awaitEnd();
    }
    assertFalse(reader.end.isDone());
  }

  @Test
  void requestingNothingIsAnError() throws Exception {
    stage.then(call -> call.send(started(1)));
    client.stream("agent-1", "hello").subscribe(reader);

    reader.subscription().request(0);

    assertEquals(IllegalArgumentException.class, reader.failure().getClass());
  }

  @Test
  void aStreamHasOneSubscriber() {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    stream.subscribe(new Reader());

    stream.subscribe(reader);

    assertEquals(IllegalStateException.class, reader.failure().getClass());
  }

  /** Delivers on a thread that can be watched. */
  private static final class Deliveries implements Executor {
    private final CompletableFuture<Thread> thread = new CompletableFuture<>();

    @Override
    public void execute(Runnable delivery) {
      Thread started = new Thread(delivery);
      started.start();
      thread.complete(started);
    }

    /** Waits until it waits for its subscriber: for the server it would with a limit of time. */
    void awaitIdle() {
      while (thread.join().getState() != Thread.State.WAITING) {
        Thread.onSpinWait();
      }
    }

    void awaitEnd() throws InterruptedException {
      thread.join().join();
    }
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

    Throwable failure() {
      return assertThrows(ExecutionException.class, () -> end.get(30, TimeUnit.SECONDS)).getCause();
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
