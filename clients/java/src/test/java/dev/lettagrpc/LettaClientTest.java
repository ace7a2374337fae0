package dev.lettagrpc;

import static dev.lettagrpc.Events.finished;
import static dev.lettagrpc.Events.run;
import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.lettagrpc.v1.ErrorReason;
import dev.lettagrpc.v1.InputMessage;
import dev.lettagrpc.v1.PendingAction;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunState;
import dev.lettagrpc.v1.StreamRunRequest;
import dev.lettagrpc.v1.ToolReturnStatus;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class LettaClientTest {
  private static final Run WAITING =
      run(RunState.RUN_STATE_INTERRUPTED).toBuilder()
          .addPendingActions(PendingAction.newBuilder().setToolCallId("call-1").setName("pay"))
          .addPendingActions(PendingAction.newBuilder().setToolCallId("call-2").setName("look"))
          .addPendingActions(PendingAction.newBuilder().setToolCallId("call-3").setName("wait"))
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
  void theApiKeyGoesWithEveryCall() {
    stage.then(call -> call.send(started(1), finished(2)).end());

    client.stream("agent-1", "hello").finalRun();
    client.run(Stage.RUN_ID);

    assertEquals(Set.of("Bearer key"), Set.copyOf(stage.authorizations));
    assertEquals(2, stage.authorizations.size());
  }

  @Test
  void aKeyGoesWithoutTheLineEndOfItsFile() {
    try (LettaClient keyed = stage.builder().apiKey("secret\n").build()) {
      keyed.run(Stage.RUN_ID);
    }

    assertEquals(List.of("Bearer secret"), stage.authorizations);
  }

  @ParameterizedTest
  @ValueSource(strings = {"new\nline", "schlüssel"})
  void aKeyThatNoHeaderTakesIsRefusedAtOnceAndNotTold(String key) {
    LettaClientBuilder builder = LettaClient.builder();

    Exception refused = assertThrows(IllegalArgumentException.class, () -> builder.apiKey(key));

    assertFalse(refused.getMessage().contains(key));
  }

  @Test
  void aTimeoutThatEndsTheTriesSaysWhyTheyFailed() {
    Status refusal = Status.UNAVAILABLE.withDescription("not yet");
    stage.thenAsked(observer -> observer.onError(refusal.asRuntimeException()));
    stage.thenAsked(observer -> {});

    try (LettaClient hasty =
        stage.builder().retry(Stage.QUICK).timeout(java.time.Duration.ofSeconds(1)).build()) {
      LettaException failure = assertThrows(LettaException.class, () -> hasty.run(Stage.RUN_ID));

      assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.code());
      assertEquals("not yet (UNAVAILABLE)", failure.getCause().getMessage());
      assertTrue(failure.getMessage().contains("not yet"), failure.getMessage());
    }
  }

  @Test
  void aCallThatWaitsForAnotherTryEndsWithItsClient() throws Exception {
    java.time.Duration never = java.time.Duration.ofHours(1);
    CountDownLatch refused = new CountDownLatch(1);
    stage.thenAsked(
        observer -> {
          observer.onError(Status.UNAVAILABLE.asRuntimeException());
          refused.countDown();
        });
    LettaClient patient = stage.client(RetryPolicy.defaults().withDelays(never, never));
    CompletableFuture<LettaException> failed =
        CompletableFuture.supplyAsync(
            () -> assertThrows(LettaException.class, () -> patient.run(Stage.RUN_ID)));

    refused.await();
    patient.close();

    assertEquals(Status.Code.UNAVAILABLE, failed.get(10, TimeUnit.SECONDS).code());
  }

  @Test
  void aRefusalSaysWhyAndIsNotRepeated() {
    BadRequest bad =
        BadRequest.newBuilder()
            .addFieldViolations(
                BadRequest.FieldViolation.newBuilder()
                    .setField("run.messages")
                    .setDescription("is empty"))
            .build();
    ErrorInfo info =
        ErrorInfo.newBuilder().setReason("INVALID_REQUEST").putMetadata("hint", "say it").build();
    stage.then(call -> call.fail(refusal(Status.Code.INVALID_ARGUMENT, info, bad)));

    LettaException failure =
        assertThrows(LettaException.class, () -> client.stream("agent-1", "").finalRun());

    assertEquals(Status.Code.INVALID_ARGUMENT, failure.code());
    assertTrue(failure.is(ErrorReason.ERROR_REASON_INVALID_REQUEST));
    assertFalse(failure.is(ErrorReason.ERROR_REASON_INTERNAL));
    assertEquals(Map.of("hint", "say it"), failure.metadata());
    assertEquals(Map.of("run.messages", "is empty"), failure.fieldViolations());
    assertEquals(1, stage.starts.size());
  }

  @Test
  void aPassingRefusalIsRepeatedAfterTheTimeTheServerAsksFor() {
    ErrorInfo info = ErrorInfo.newBuilder().setReason("TOO_MANY_STREAMS").build();
    RetryInfo later =
        RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setNanos(120_000_000)).build();
    stage.then(call -> call.fail(refusal(Status.Code.RESOURCE_EXHAUSTED, info, later)));
    stage.then(call -> call.send(started(1), finished(2)).end());
    long begin = System.nanoTime();

    client.stream("agent-1", "hello").finalRun();

    assertTrue(System.nanoTime() - begin >= 120_000_000);
    assertEquals(2, stage.starts.size());
  }

  @Test
  void whatAProxySaysHasNoReason() {
    stage.then(call -> call.fail(Status.PERMISSION_DENIED));

    LettaException failure =
        assertThrows(LettaException.class, () -> client.stream("agent-1", "hello").finalRun());

    assertEquals("", failure.reason());
    assertEquals(Optional.empty(), failure.retryDelay());
    assertEquals("permission denied (PERMISSION_DENIED)", failure.getMessage());
  }

  @ParameterizedTest
  @MethodSource("toldOfThings")
  void anExceptionSaysWhichThingItIsAboutUnlessItsMessageDoes(
      String message, Map<String, String> metadata, String told) {
    LettaException.Refusal refusal = new LettaException.Refusal("WHY", metadata, Map.of(), null);

    LettaException failure = new LettaException(message, Status.Code.ABORTED, refusal, null);

    assertEquals(message + " " + told, failure.getMessage());
  }

  static Stream<Arguments> toldOfThings() {
    return Stream.of(
        arguments(
            "it is busy",
            Map.of("conversation_id", "conv-1", "active_run_id", "run-1"),
            "(WHY, active_run_id=run-1, conversation_id=conv-1)"),
        arguments(
            "it has no such block",
            Map.of("label", "human", "agent_id", "agent-1"),
            "(WHY, agent_id=agent-1, label=human)"),
        arguments("the name 'dice' is taken", Map.of("name", "dice"), "(WHY)"),
        arguments("too many wait", Map.of("limit", "64", "run_id", ""), "(WHY)"));
  }

  @Test
  void anAnswerIsARunOfTheSameConversationWithDecisionsAheadOfReturns() {
    stage.then(call -> call.send(started(1), finished(2)).end());

    client
        .answer(
            WAITING,
            call ->
                switch (call.getName()) {
                  case "pay" -> Answer.toolError("no money");
                  case "look" -> Answer.approve("{\"at\": 1}");
                  default -> null;
                })
        .finalRun();

    StreamRunRequest request = stage.starts.get(0);
    List<InputMessage> said = request.getRun().getMessagesList();
    assertEquals("agent-1", request.getAgentId());
    assertEquals("conv-1", request.getConversationId());
    assertEquals(2, said.size());
    assertEquals("call-2", said.get(0).getApproval().getDecisions(0).getToolCallId());
    assertEquals(
        "{\"at\": 1}", said.get(0).getApproval().getDecisions(0).getApprove().getArguments());
    assertEquals("call-1", said.get(1).getToolReturns().getReturns(0).getToolCallId());
    assertEquals(
        ToolReturnStatus.TOOL_RETURN_STATUS_ERROR,
        said.get(1).getToolReturns().getReturns(0).getStatus());
  }

  @Test
  void approvingAsItIsSaysNothingOfArguments() {
    InputMessage said = Answer.input(Map.of("call-1", Answer.approve())).get(0);

    assertTrue(said.getApproval().getDecisions(0).hasApprove());
    assertFalse(said.getApproval().getDecisions(0).getApprove().hasArguments());
  }

  @Test
  void textComesInAFutureToo() throws Exception {
    stage.then(
        call -> call.send(started(1), Events.completed(2, "m", "Hello."), finished(3)).end());

    assertEquals("Hello.", client.stream("agent-1", "hello").textAsync().get());
  }

  @Test
  void aRunIsCancelledByItsId() {
    client.cancel("run-7");

    assertEquals(List.of("run-7"), stage.cancelled);
  }

  @Test
  void onAClosedClientEverythingFailsAtOnce() {
    LettaClient closed = LettaClient.builder().target("127.0.0.1:1").plaintext().build();
    closed.close();

    assertTimeoutPreemptively(
        java.time.Duration.ofSeconds(5),
        () -> {
          assertThrows(LettaException.class, () -> closed.run("run-7"));
          assertThrows(LettaException.class, () -> closed.cancel("run-7"));
          assertThrows(LettaException.class, () -> closed.stream("agent-1", "hello").finalRun());
          assertThrows(LettaException.class, () -> closed.attach("run-7").finalRun());
        });
  }

  private static RuntimeException refusal(
      Status.Code code, com.google.protobuf.Message... details) {
    com.google.rpc.Status.Builder status =
        com.google.rpc.Status.newBuilder().setCode(code.value()).setMessage("no");
    for (com.google.protobuf.Message detail : details) {
      status.addDetails(Any.pack(detail));
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }
}
