package dev.lettagrpc;

import dev.lettagrpc.v1.ApprovalInput;
import dev.lettagrpc.v1.Approve;
import dev.lettagrpc.v1.Content;
import dev.lettagrpc.v1.Decision;
import dev.lettagrpc.v1.Deny;
import dev.lettagrpc.v1.InputMessage;
import dev.lettagrpc.v1.ToolReturn;
import dev.lettagrpc.v1.ToolReturnStatus;
import dev.lettagrpc.v1.ToolReturnsInput;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What is said to a tool call that waits: see {@link LettaClient#answer}. */
public sealed interface Answer {

  /** A decision about a call that waits for approval. */
  record Decided(Decision decision) implements Answer {}

  /** What a tool gave that the client ran. */
  record Returned(ToolReturn toolReturn) implements Answer {}

  /** Lets the call run as the model wrote it. */
  static Answer approve() {
    return new Decided(Decision.newBuilder().setApprove(Approve.getDefaultInstance()).build());
  }

  /** Lets the call run with these arguments, JSON text, in place of the model's. */
  static Answer approve(String arguments) {
    Approve edited = Approve.newBuilder().setArguments(arguments).build();
    return new Decided(Decision.newBuilder().setApprove(edited).build());
  }

  /** Does not let the call run; the model is told why. */
  static Answer deny(String reason) {
    Deny denied = Deny.newBuilder().setReason(reason).build();
    return new Decided(Decision.newBuilder().setDeny(denied).build());
  }

  /** Says what the tool gave. */
  static Answer toolReturn(String text) {
    return toolReturn(succeeded().setText(text).build());
  }

  /** Says what the tool gave, where that is more than text. */
  static Answer toolReturn(Content content) {
    return toolReturn(succeeded().setContent(content).build());
  }

  /** Says what the tool gave, in the contract's own words; the call's id is put in. */
  static Answer toolReturn(ToolReturn toolReturn) {
    return new Returned(toolReturn);
  }

  /** Says that the tool failed; the model is told why. */
  static Answer toolError(String text) {
    return toolReturn(
        ToolReturn.newBuilder()
            .setStatus(ToolReturnStatus.TOOL_RETURN_STATUS_ERROR)
            .setText(text)
            .build());
  }

  private static ToolReturn.Builder succeeded() {
    return ToolReturn.newBuilder().setStatus(ToolReturnStatus.TOOL_RETURN_STATUS_SUCCESS);
  }

  /** Returns answers as input: the decisions, then the returns, each in the map's order. */
  static List<InputMessage> input(Map<String, Answer> answers) {
    ApprovalInput.Builder decided = ApprovalInput.newBuilder();
    ToolReturnsInput.Builder returned = ToolReturnsInput.newBuilder();
    answers.forEach(
        (call, answer) -> {
          if (answer instanceof Decided given) {
            decided.addDecisions(given.decision().toBuilder().setToolCallId(call));
          } else if (answer instanceof Returned given) {
            returned.addReturns(given.toolReturn().toBuilder().setToolCallId(call));
          }
        });
    List<InputMessage> input = new ArrayList<>();
    if (decided.getDecisionsCount() > 0) {
      input.add(InputMessage.newBuilder().setApproval(decided).build());
    }
    if (returned.getReturnsCount() > 0) {
      input.add(InputMessage.newBuilder().setToolReturns(returned).build());
    }
    return input;
  }
}
