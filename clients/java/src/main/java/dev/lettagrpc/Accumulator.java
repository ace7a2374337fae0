package dev.lettagrpc;

import dev.lettagrpc.v1.Message;
import dev.lettagrpc.v1.PendingAction;
import dev.lettagrpc.v1.Role;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.ToolCall;
import dev.lettagrpc.v1.ToolReturn;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Folds events, each given once and in order, into what a run has said so far.
 *
 * <p>A completed message replaces its deltas; a restarted step takes back what its void messages
 * had said. Not for several threads at once.
 */
public final class Accumulator {
  // In the order of their first sign of life: an unfinished message keeps its place when it is
  // completed.
  private final Map<String, Draft> messages = new LinkedHashMap<>();
  private final Map<String, ToolReturn> toolReturns = new LinkedHashMap<>();
  private List<PendingAction> asked = List.of();
  private Run run;

  /**
   * Folds the next event in. Kinds without a meaning for messages, unknown ones too, change
   * nothing.
   */
  public void add(RunEvent event) {
    switch (event.getPayloadCase()) {
      case TEXT_DELTA -> draft(event.getTextDelta().getMessageId()).add(event.getTextDelta());
      case REASONING_DELTA ->
          draft(event.getReasoningDelta().getMessageId()).add(event.getReasoningDelta());
      case TOOL_CALL_DELTA ->
          draft(event.getToolCallDelta().getMessageId()).add(event.getToolCallDelta());
      case MESSAGE_STARTED ->
          draft(event.getMessageStarted().getMessageId()).begin(event.getMessageStarted());
      case MESSAGE_COMPLETED ->
          draft(event.getMessageCompleted().getMessage().getId())
              .complete(event.getMessageCompleted().getMessage());
      case STEP_RESTARTED ->
          event.getStepRestarted().getVoidMessageIdsList().forEach(messages::remove);
      case TOOL_RETURN ->
          toolReturns.put(event.getToolReturn().getToolCallId(), event.getToolReturn());
      case RUN_STARTED -> begin(event.getRunStarted().getRun());
      case APPROVAL_REQUEST -> asked = event.getApprovalRequest().getActionsList();
      case RUN_FINISHED -> run = event.getRunFinished().getRun();
      default -> {}
    }
  }

  /**
   * The texts of the completed assistant messages that have any, with a blank line between them.
   */
  public String text() {
    return messages().stream()
        .filter(message -> message.getRole() == Role.ROLE_ASSISTANT)
        .map(Accumulator::textOf)
        .filter(text -> !text.isEmpty())
        .collect(Collectors.joining("\n\n"));
  }

  /** The completed messages, in order. */
  public List<Message> messages() {
    return messages.values().stream().filter(Draft::completed).map(Draft::message).toList();
  }

  /** What is being written, as far as it has come. */
  public List<Message> drafts() {
    return messages.values().stream()
        .filter(draft -> !draft.completed())
        .map(Draft::message)
        .toList();
  }

  /** The calls of the completed messages, in order. */
  public List<ToolCall> toolCalls() {
    return messages().stream().flatMap(message -> message.getToolCallsList().stream()).toList();
  }

  /** What the tools returned, by the id of the call. */
  public Map<String, ToolReturn> toolReturns() {
    return Collections.unmodifiableMap(toolReturns);
  }

  /** The calls for whose answers the run ended, or is about to end. */
  public List<PendingAction> pendingActions() {
    return asked.isEmpty() && run != null ? run.getPendingActionsList() : asked;
  }

  /** The run as its events last told of it. */
  public Optional<Run> run() {
    return Optional.ofNullable(run);
  }

  /** Puts in a run that was asked for, where no event told its end. */
  void put(Run ended) {
    run = ended;
  }

  private void begin(Run started) {
    run = started;
    // What an earlier run had asked has its answer.
    asked = List.of();
  }

  private Draft draft(String messageId) {
    return messages.computeIfAbsent(messageId, Draft::new);
  }

  private static String textOf(Message message) {
    return message.getContentList().stream()
        .map(part -> part.getText())
        .collect(Collectors.joining());
  }
}
