package dev.lettagrpc;

import static dev.lettagrpc.Events.finished;
import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunState;
import io.grpc.Status;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class FutureTest {
  private Stage stage;

  @BeforeEach
  void open() throws IOException {
    stage = new Stage();
  }

  @AfterEach
  void close() {
    stage.close();
  }

  @Test
  void aFutureThatIsCancelledLeavesNeitherCallNorThread() throws Exception {
    assertLeavesNothing(
        future -> {
          future.cancel(false);
          return future;
        });
  }

  @Test
  void aFutureWhoseTimeIsOverLeavesNeitherCallNorThread() throws Exception {
    assertLeavesNothing(future -> future.orTimeout(50, TimeUnit.MILLISECONDS));
  }

  @Test
  void aFutureThatFailedLeavesAStreamThatCanBeReadOn() throws Exception {
    stage.then(call -> call.send(started(1)).fail(Status.UNAVAILABLE));
    stage.then(call -> call.send(finished(2)).end());
    try (LettaClient impatient = stage.client(Stage.QUICK.withStreamAttempts(1))) {
      RunStream stream = impatient.stream("agent-1", "hello");
      CompletableFuture<Run> failing = stream.finalRunAsync();

      ExecutionException failure = assertThrows(ExecutionException.class, failing::get);

      assertEquals(LettaException.class, failure.getCause().getClass());
      assertFalse(stream.isClosed());
      assertEquals(RunState.RUN_STATE_COMPLETED, stream.finalRunAsync().get().getState());
    }
  }

  private void assertLeavesNothing(UnaryOperator<CompletableFuture<String>> end) throws Exception {
    stage.then(call -> call.send(started(1)));
    CompletableFuture<Thread> reader = new CompletableFuture<>();
    try (LettaClient client =
        stage.client(
            work -> {
              Thread thread = new Thread(work);
              reader.complete(thread);
              thread.start();
            })) {
      CompletableFuture<String> future = client.stream("agent-1", "hello").textAsync();
      stage.asked.await();

      end.apply(future);

      assertTrue(stage.hungUp.await(10, TimeUnit.SECONDS), "the call is still open");
      reader.join().join(10_000);
      assertFalse(reader.join().isAlive(), "the thread is still at work");
      assertTrue(stage.cancelled.isEmpty());
    }
  }
}
