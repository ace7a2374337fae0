package dev.lettagrpc;

import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.io.IOException;
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
}
