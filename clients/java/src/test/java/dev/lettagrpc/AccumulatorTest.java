package dev.lettagrpc;

import static dev.lettagrpc.Events.asking;
import static dev.lettagrpc.Events.begun;
import static dev.lettagrpc.Events.completed;
import static dev.lettagrpc.Events.delta;
import static dev.lettagrpc.Events.event;
import static dev.lettagrpc.Events.finished;
import static dev.lettagrpc.Events.restarted;
import static dev.lettagrpc.Events.run;
import static dev.lettagrpc.Events.started;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lettagrpc.v1.Message;
import dev.lettagrpc.v1.PendingAction;
import dev.lettagrpc.v1.ReasoningDelta;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunState;
import dev.lettagrpc.v1.ToolCallDelta;
import dev.lettagrpc.v1.ToolReturn;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class AccumulatorTest {
  private final Accumulator accumulator = new Accumulator();

  @Test
  void aCompletedMessageReplacesItsDeltas() {
    add(begun(1, "m"), delta(2, "m", "Hel"));
    assertEquals("Hel", accumulator.drafts().get(0).getContent(0).getText());
    assertEquals("", accumulator.text());

    add(completed(3, "m", "Hello."), delta(4, "m", " too late"));

    assertEquals("Hello.", accumulator.text());
    assertEquals(List.of(), accumulator.drafts());
  }

  @Test
  void theDeltasOfACompletedMessageAreLetGo() {
    String text = "x".repeat(1 << 20);
    long before = held();
    List<Accumulator> all = Stream.generate(Accumulator::new).limit(32).toList();
    for (Accumulator one : all) {
      one.add(delta(1, "m", text));
      one.add(completed(2, "m", "Hello."));
    }

    assertTrue(held() - before < 8 << 20);
    all.forEach(one -> assertEquals("Hello.", one.text()));
  }

  @Test
  void textsHaveABlankLineBetweenThemAndKeepTheirPlaces() {
    add(begun(1, "a"), begun(2, "b"), completed(3, "b", "Second."), completed(4, "a", "First."));

    assertEquals("First.\n\nSecond.", accumulator.text());
  }

  @Test
  void aRestartedStepTakesBackWhatItsVoidMessagesHadSaid() {
    add(delta(1, "void", "Goodb"), restarted(2, "void"), completed(3, "m", "Good evening"));

    assertEquals("Good evening", accumulator.text());
    assertEquals(List.of(), accumulator.drafts());
  }

  @Test
  void argumentsAndReasoningAreWrittenPieceByPiece() {
    ToolCallDelta first =
        ToolCallDelta.newBuilder()
            .setMessageId("m")
            .setToolCallId("call-1")
            .setName("pay")
            .setArguments("{\"to\":")
            .build();
    ToolCallDelta second = ToolCallDelta.newBuilder().setMessageId("m").setArguments(" 1}").build();
    ReasoningDelta thought = ReasoningDelta.newBuilder().setMessageId("m").setText("Hm.").build();
    add(
        event(1).setReasoningDelta(thought).build(),
        event(2).setToolCallDelta(first).build(),
        event(3).setToolCallDelta(second).build());

    Message draft = accumulator.drafts().get(0);

    assertEquals("Hm.", draft.getContent(0).getReasoning());
    assertEquals("pay", draft.getToolCalls(0).getName());
    assertEquals("{\"to\": 1}", draft.getToolCalls(0).getArguments());
  }

  @Test
  void returnsAreFoundByTheirCall() {
    ToolReturn given = ToolReturn.newBuilder().setToolCallId("call-1").setText("sunny").build();

    add(event(1).setToolReturn(given).build());

    assertEquals(given, accumulator.toolReturns().get("call-1"));
  }

  @Test
  void whatARunWaitsForIsToldByItsRequestOrByItsEnd() {
    add(started(1), asking(2, "call-1", "call-2"));
    assertEquals(List.of("call-1", "call-2"), pending());

    add(
        started(1),
        finished(
            2,
            run(RunState.RUN_STATE_INTERRUPTED).toBuilder()
                .addPendingActions(PendingAction.newBuilder().setToolCallId("call-3"))
                .build()));

    assertEquals(List.of("call-3"), pending());
  }

  @Test
  void unknownKindsChangeNothing() {
    add(event(1).build());

    assertEquals("", accumulator.text());
    assertEquals(Optional.empty(), accumulator.run());
  }

  private List<String> pending() {
    return accumulator.pendingActions().stream().map(PendingAction::getToolCallId).toList();
  }

  private void add(RunEvent... events) {
    List.of(events).forEach(accumulator::add);
  }

  private static long held() {
    System.gc();
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }
}
