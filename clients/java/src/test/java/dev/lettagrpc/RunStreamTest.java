package dev.lettagrpc;

import static dev.lettagrpc.Events.begun;
import static dev.lettagrpc.Events.completed;
import static dev.lettagrpc.Events.delta;
import static dev.lettagrpc.Events.finished;
import static dev.lettagrpc.Events.heartbeat;
import static dev.lettagrpc.Events.run;
import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunError;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunState;
import dev.lettagrpc.v1.StreamOptions;
import dev.lettagrpc.v1.StreamRunRequest;
import io.grpc.Context;
import io.grpc.Status;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class RunStreamTest {
  private static final StreamRunRequest SOON_SILENT =
      StreamRunRequest.newBuilder()
          .setAgentId("agent-1")
          .setOptions(
              StreamOptions.newBuilder()
                  .setHeartbeatInterval(Duration.newBuilder().setNanos(300_000_000)))
          .build();

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
  void eachEventComesOnceAndInOrderAcrossACut() {
    stage.then(call -> call.send(started(1), begun(2, "m")).fail(Status.UNAVAILABLE));
    stage.then(call -> call.send(begun(2, "m"), delta(3, "m", "Hi")).fail(Status.INTERNAL));
    stage.then(call -> call.send(completed(4, "m", "Hi"), finished(5)).end());

    assertEquals(List.of(1, 2, 3, 4, 5), numbers(client.stream("agent-1", "hello")));
    assertEquals(List.of(2, 3), stage.attachedAfter);
  }

  @Test
  void anEventThatIsMissingIsWaitedForAndNothingBehindItIsHandedOn() {
    stage.then(call -> call.send(started(1), delta(3, "m", "lost?")));
    stage.then(call -> call.send(begun(2, "m"), delta(3, "m", "found"), finished(4)).end());

    assertEquals(List.of(1, 2, 3, 4), numbers(client.stream("agent-1", "hello")));
    assertEquals(List.of(1), stage.attachedAfter);
  }

  @Test
  void silenceIsABrokenConnection() {
    stage.then(call -> call.send(started(1), heartbeat(1)));
    stage.then(call -> call.send(finished(2)).end());

    assertEquals(List.of(1, 2), numbers(client.stream(SOON_SILENT)));
    assertEquals(List.of(1), stage.attachedAfter);
  }

  @Test
  void aStartThatIsRepeatedHasTheSameRequestId() {
    stage.then(call -> call.fail(Status.UNAVAILABLE));
    stage.then(call -> call.send(started(1), finished(2)).end());

    client.stream("agent-1", "hello").finalRun();

    assertEquals(2, stage.starts.size());
    assertFalse(stage.starts.get(0).getRequestId().isEmpty());
    assertEquals(stage.starts.get(0), stage.starts.get(1));
  }

  @Test
  void whatGaveUpGoesOnWhereItStoppedWhenItIsIteratedOnceMore() {
    try (LettaClient impatient = stage.client(Stage.QUICK.withStreamAttempts(1))) {
      stage.then(call -> call.send(started(1)).fail(Status.UNAVAILABLE));
      stage.then(call -> call.send(finished(2)).end());
      RunStream stream = impatient.stream("agent-1", "hello");
      List<Integer> seen = new ArrayList<>();

      assertThrows(
          LettaException.class, () -> stream.forEach(event -> seen.add(event.getSequenceNumber())));
      stream.forEach(event -> seen.add(event.getSequenceNumber()));

      assertEquals(List.of(1, 2), seen);
    }
  }

  @Test
  void onlyWhatWasHandedOnIsCounted() {
    stage.then(call -> call.send(started(1), begun(2, "m"), completed(3, "m", "Hi")));
    RunStream stream = client.stream("agent-1", "hello");
    Iterator<RunEvent> events = stream.iterator();

    events.next();
    events.next();
    assertTrue(events.hasNext());

    assertEquals(2, stream.lastSequenceNumber());
    assertEquals("", stream.soFar().text());
    events.next();
    assertEquals("Hi", stream.soFar().text());
  }

  @Test
  void aReaderWhoDoesNotReadHoldsTheServerBack() {
    CompletableFuture<Integer> sent = new CompletableFuture<>();
    stage.then(
        call -> {
          int number = 1;
          while (call.isReady() && number < 1000) {
            call.send(delta(number++, "m", "word "));
          }
          sent.complete(number);
        });

    client.stream("agent-1", "hello").started();

    assertTrue(sent.join() < 20, () -> "the server could send " + sent.join());
  }

  @Test
  void closingWakesAReaderThatWaitsAndEndsTheCallButNotTheRun() throws Exception {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    CompletableFuture<List<Integer>> reading = CompletableFuture.supplyAsync(() -> numbers(stream));
    stream.started();

    stream.close();

    assertTrue(List.of(List.of(), List.of(1)).contains(reading.get(30, TimeUnit.SECONDS)));
    assertTrue(stage.hungUp.await(30, TimeUnit.SECONDS));
    assertTrue(stage.cancelled.isEmpty());
    assertTrue(stage.attachedAfter.isEmpty());
    assertThrows(IllegalStateException.class, stream::finalRun);
  }

  @Test
  void closingEndsTheWaitForANewTry() throws Exception {
    CountDownLatch refused = new CountDownLatch(1);
    stage.then(
        call -> {
          call.fail(Status.UNAVAILABLE);
          refused.countDown();
        });
    RetryPolicy slow =
        RetryPolicy.defaults()
            .withDelays(java.time.Duration.ofHours(1), java.time.Duration.ofHours(1));
    try (LettaClient sluggish = stage.client(slow)) {
      RunStream stream = sluggish.stream("agent-1", "hello");
      CompletableFuture<List<Integer>> reading =
          CompletableFuture.supplyAsync(() -> numbers(stream));
      refused.await();

      stream.close();

      assertEquals(List.of(), reading.get(30, TimeUnit.SECONDS));
    }
  }

  @Test
  void closingTheClientClosesItsStreams() throws Exception {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    CompletableFuture<Run> reading = stream.finalRunAsync();
    stream.started();

    client.close();

    Exception failure = assertThrows(Exception.class, () -> reading.get(30, TimeUnit.SECONDS));
    assertEquals(IllegalStateException.class, failure.getCause().getClass());
  }

  @Test
  void aRunIsCancelledBesideTheReaderWhoReadsOnToItsEnd() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    stage.then(
        call -> {
          call.send(started(1));
          asked.countDown();
          new Thread(
                  () -> {
                    while (stage.cancelled.isEmpty()) {
                      Thread.onSpinWait();
                    }
                    call.send(finished(2, run(RunState.RUN_STATE_CANCELLED))).end();
                  })
              .start();
        });
    RunStream stream = client.stream("agent-1", "hello");
    CompletableFuture<Run> reading = stream.finalRunAsync();
    asked.await();

    stream.cancel();

    assertEquals(RunState.RUN_STATE_CANCELLED, reading.get(30, TimeUnit.SECONDS).getState());
    assertEquals(List.of(Stage.RUN_ID), stage.cancelled);
  }

  @Test
  void cancellingStartsWhatHasNotStarted() {
    stage.then(call -> call.send(started(1)));

    client.stream("agent-1", "hello").cancel();

    assertEquals(List.of(Stage.RUN_ID), stage.cancelled);
  }

  @Test
  void aRunIsCancelledAfterTheTimeForReadingItIsOver() {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    stream.started();
    stream.withDeadlineAfter(java.time.Duration.ZERO);
    assertThrows(LettaException.class, stream::finalRun);

    stream.cancel();

    assertEquals(List.of(Stage.RUN_ID), stage.cancelled);
  }

  @Test
  void anEventThatWasPromisedIsHandedOnByAStreamThatWasClosedInBetween() {
    stage.then(call -> call.send(started(1), delta(2, "m", "Hi")));
    RunStream stream = client.stream("agent-1", "hello");
    Iterator<RunEvent> events = stream.iterator();
    assertTrue(events.hasNext());

    stream.close();

    assertEquals(1, events.next().getSequenceNumber());
    assertFalse(events.hasNext());
    assertThrows(NoSuchElementException.class, events::next);
  }

  @Test
  void anInterruptEndsTheWaitAtOnceAndStaysSet() throws Exception {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    CompletableFuture<LettaException> failed = new CompletableFuture<>();
    AtomicBoolean flag = new AtomicBoolean();
    Thread reader =
        new Thread(
            () -> {
              LettaException thrown = assertThrows(LettaException.class, stream::finalRun);
              flag.set(Thread.currentThread().isInterrupted());
              failed.complete(thrown);
            });
    reader.start();
    stream.started();

    reader.interrupt();

    assertEquals(Status.Code.CANCELLED, failed.get(30, TimeUnit.SECONDS).code());
    assertTrue(flag.get());
    assertTrue(stage.attachedAfter.isEmpty());
  }

  @Test
  void whatWorksForACancelledContextDoesNotAttachAgain() throws Exception {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    Context.CancellableContext context = Context.current().withCancellation();
    CompletableFuture<LettaException> failed = new CompletableFuture<>();
    Runnable reading = () -> failed.complete(assertThrows(LettaException.class, stream::finalRun));
    new Thread(context.wrap(reading)).start();
    stage.asked.await();

    context.cancel(null);

    assertEquals(Status.Code.CANCELLED, failed.get(30, TimeUnit.SECONDS).code());
    assertTrue(stage.attachedAfter.isEmpty());
  }

  @Test
  void aDeadlineEndsTheReadingAndNothingElse() {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    stream.iterator().next();
    stream.withDeadlineAfter(java.time.Duration.ofMillis(100));

    LettaException failure = assertThrows(LettaException.class, stream::finalRun);

    assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.code());
    assertEquals(1, stream.lastSequenceNumber());
    assertTrue(stage.cancelled.isEmpty());
    assertTrue(stage.attachedAfter.isEmpty());
  }

  @Test
  void aDeadlineThatEndsTheTriesSaysWhyTheyFailed() {
    java.time.Duration never = java.time.Duration.ofHours(1);
    stage.then(call -> call.fail(Status.UNAVAILABLE.withDescription("not yet")));
    try (LettaClient patient = stage.client(RetryPolicy.defaults().withDelays(never, never))) {
      RunStream stream = patient.stream("agent-1", "hello");
      stream.withDeadlineAfter(java.time.Duration.ofSeconds(1));

      LettaException failure = assertThrows(LettaException.class, stream::finalRun);

      assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.code());
      assertEquals("not yet (UNAVAILABLE)", failure.getCause().getMessage());
      assertTrue(failure.getMessage().contains("not yet"), failure.getMessage());
    }
  }

  @Test
  void theTextOfAFailedRunIsItsError() {
    Run failed =
        run(RunState.RUN_STATE_FAILED).toBuilder()
            .setError(
                RunError.newBuilder()
                    .setReason("MODEL_TIMEOUT")
                    .setMessage("the model was silent")
                    .putMetadata("model", "openai/o"))
            .build();
    stage.then(call -> call.send(started(1), completed(2, "m", "Half"), finished(3, failed)).end());
    RunStream stream = client.stream("agent-1", "hello");

    RunFailedException failure = assertThrows(RunFailedException.class, stream::text);

    assertEquals("MODEL_TIMEOUT", failure.reason());
    assertEquals("openai/o", failure.metadata().get("model"));
    assertEquals(failed, failure.run());
    assertEquals(failed, stream.finalRun());
    assertEquals("Half", stream.soFar().text());
  }

  @Test
  void behindTheEndOfARunTheServerIsAskedHowItEnded() {
    Run ended = run(RunState.RUN_STATE_COMPLETED).toBuilder().setLastSequenceNumber(9).build();
    stage.knowing(ended).then(call -> call.end());

    RunStream stream = client.attach(Stage.RUN_ID, 9);

    assertEquals(ended, stream.finalRun());
    assertEquals(9, stream.lastSequenceNumber());
    assertThrows(NoSuchElementException.class, () -> stream.iterator().next());
  }

  @Test
  void textComesAsItIsWritten() {
    stage.then(
        call ->
            call.send(started(1), delta(2, "m", "Hel"), delta(3, "m", "lo"), finished(4)).end());

    assertEquals(List.of("Hel", "lo"), client.stream("agent-1", "hello").textDeltas().toList());
  }

  private static List<Integer> numbers(RunStream stream) {
    List<Integer> seen = new ArrayList<>();
    stream.forEach(event -> seen.add(event.getSequenceNumber()));
    return seen;
  }
}
