package dev.lettagrpc;

import dev.lettagrpc.v1.ApprovalRequest;
import dev.lettagrpc.v1.ContentPart;
import dev.lettagrpc.v1.Heartbeat;
import dev.lettagrpc.v1.Message;
import dev.lettagrpc.v1.MessageCompleted;
import dev.lettagrpc.v1.MessageStarted;
import dev.lettagrpc.v1.PendingAction;
import dev.lettagrpc.v1.Role;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunEvent;
import dev.lettagrpc.v1.RunFinished;
import dev.lettagrpc.v1.RunStarted;
import dev.lettagrpc.v1.RunState;
import dev.lettagrpc.v1.StepRestarted;
import dev.lettagrpc.v1.TextDelta;
import java.util.List;

/** Events for tests. */
final class Events {
  private Events() {}

  static Run run() {
    return run(RunState.RUN_STATE_RUNNING);
  }

  static Run run(RunState state) {
    return Run.newBuilder()
        .setId(Stage.RUN_ID)
        .setAgentId("agent-1")
        .setConversationId("conv-1")
        .setState(state)
        .build();
  }

  static RunEvent started(int number) {
    return event(number).setRunStarted(RunStarted.newBuilder().setRun(run())).build();
  }

  static RunEvent begun(int number, String message) {
    MessageStarted started =
        MessageStarted.newBuilder().setMessageId(message).setRole(Role.ROLE_ASSISTANT).build();
    return event(number).setMessageStarted(started).build();
  }

  static RunEvent delta(int number, String message, String text) {
    TextDelta delta = TextDelta.newBuilder().setMessageId(message).setText(text).build();
    return event(number).setTextDelta(delta).build();
  }

  static RunEvent completed(int number, String message, String text) {
    Message whole =
        Message.newBuilder()
            .setId(message)
            .setRole(Role.ROLE_ASSISTANT)
            .addContent(ContentPart.newBuilder().setText(text))
            .build();
    return event(number)
        .setMessageCompleted(MessageCompleted.newBuilder().setMessage(whole))
        .build();
  }

  static RunEvent restarted(int number, String... voided) {
    StepRestarted restarted =
        StepRestarted.newBuilder().addAllVoidMessageIds(List.of(voided)).build();
    return event(number).setStepRestarted(restarted).build();
  }

  static RunEvent asking(int number, String... calls) {
    ApprovalRequest.Builder request = ApprovalRequest.newBuilder();
    for (String call : calls) {
      request.addActions(PendingAction.newBuilder().setToolCallId(call));
    }
    return event(number).setApprovalRequest(request).build();
  }

  static RunEvent finished(int number) {
    return finished(number, run(RunState.RUN_STATE_COMPLETED));
  }

  static RunEvent finished(int number, Run run) {
    return event(number).setRunFinished(RunFinished.newBuilder().setRun(run)).build();
  }

  static RunEvent heartbeat(int number) {
    return event(number).setHeartbeat(Heartbeat.getDefaultInstance()).build();
  }

  static RunEvent.Builder event(int number) {
    return RunEvent.newBuilder().setSequenceNumber(number);
  }
}
