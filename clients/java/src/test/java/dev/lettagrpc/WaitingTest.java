package dev.lettagrpc;

import static dev.lettagrpc.Events.finished;
import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.io.IOException;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What ends a wait, and what is said of it. */
@Timeout(60)
class WaitingTest {
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
  void aDeadlineThatEndsAWaitInventsNoFailure() {
    stage.then(call -> call.send(started(1)));
    RunStream stream = client.stream("agent-1", "hello");
    stream.started();
    stream.withDeadlineAfter(Duration.ofMillis(100));

    LettaException failure = assertThrows(LettaException.class, stream::finalRun);

    assertEquals("the deadline is over; the run goes on (DEADLINE_EXCEEDED)", failure.getMessage());
    assertNull(failure.getCause());
  }

  @Test
  void aDeadlineThatEndsATryInventsNoFailure() {
    stage.then(call -> {});
    RunStream stream = client.stream("agent-1", "hello").withDeadlineAfter(Duration.ofMillis(100));

    LettaException failure = assertThrows(LettaException.class, stream::started);

    assertEquals("the deadline is over; the run goes on (DEADLINE_EXCEEDED)", failure.getMessage());
    assertNull(failure.getCause());
  }

  @Test
  void anInterruptEndsTheWaitForTheRunBesideAReader() throws Exception {
    stage.then(call -> {});
    RunStream stream = client.stream("agent-1", "hello");
    CompletableFuture<?> reading = stream.finalRunAsync();
    stage.asked.await();
    CompletableFuture<LettaException> failed = new CompletableFuture<>();
    Thread cancelling =
        new Thread(() -> failed.complete(assertThrows(LettaException.class, stream::cancel)));
    cancelling.start();

    cancelling.interrupt();

    assertEquals(Status.Code.CANCELLED, failed.get(10, TimeUnit.SECONDS).code());
    assertTrue(!reading.isDone());
  }

  @Test
  void aConnectionThatNobodyAnswersIsGivenUpAheadOfTheCallsTime() throws Exception {
    try (ServerSocket silent = new ServerSocket(0);
        LettaClient early =
            LettaClient.builder()
                .target("127.0.0.1:" + silent.getLocalPort())
                .plaintext()
                .retry(Stage.QUICK.withCallAttempts(2))
                .build()) {
      LettaException failure =
          assertTimeoutPreemptively(
              Duration.ofSeconds(30),
              () ->
                  assertThrows(
                      LettaException.class, early.stream("agent-1", "hello")::started));

      assertEquals(Status.Code.UNAVAILABLE, failure.code());
    }
  }

  @Test
  void aServerThatIsSlowToAnswerIsWaitedFor() {
    stage.then(
        call ->
            CompletableFuture.delayedExecutor(7, TimeUnit.SECONDS)
                .execute(() -> call.send(started(1), finished(2)).end()));

    client.stream("agent-1", "hello").finalRun();

    assertEquals(1, stage.starts.size());
  }
}
