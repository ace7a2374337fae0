package dev.lettagrpc.conformance;

import com.google.gson.annotations.SerializedName;
import com.google.protobuf.Duration;
import dev.lettagrpc.Answer;
import dev.lettagrpc.LettaClient;
import dev.lettagrpc.RunStream;
import dev.lettagrpc.v1.AttachRunRequest;
import dev.lettagrpc.v1.InputMessage;
import dev.lettagrpc.v1.RunSpec;
import dev.lettagrpc.v1.StreamOptions;
import dev.lettagrpc.v1.StreamRunRequest;
import dev.lettagrpc.v1.UserInput;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What to do, as the kit says it. */
final class Task {
  @SerializedName("case")
  String agentId;

  @SerializedName("do")
  String action;

  @SerializedName("heartbeat_seconds")
  double heartbeatSeconds;

  @SerializedName("omit_deltas")
  boolean omitDeltas;

  @SerializedName("run_id")
  String runId;

  int after;
  String text = "hello";
  boolean patient;

  RunStream open(LettaClient client) {
    return action.equals("attach") ? client.attach(attachment()) : client.stream(start());
  }

  StreamOptions options() {
    long nanos = Math.round(heartbeatSeconds * 1e9);
    Duration interval =
        Duration.newBuilder()
            .setSeconds(nanos / 1_000_000_000)
            .setNanos((int) (nanos % 1_000_000_000))
            .build();
    return StreamOptions.newBuilder()
        .setOmitDeltas(omitDeltas)
        .setHeartbeatInterval(interval)
        .build();
  }

  boolean answers() {
    return Set.of("approve", "edit", "deny", "return").contains(action);
  }

  Answer answer() {
    return switch (action) {
      case "approve" -> Answer.approve();
      case "edit" -> Answer.approve("{\"to\": \"Bob\"}");
      case "deny" -> Answer.deny("not today");
      default -> Answer.toolReturn("sunny");
    };
  }

  Map<String, Answer> answerToEach(List<String> calls, Answer answer) {
    Map<String, Answer> answers = new LinkedHashMap<>();
    calls.forEach(call -> answers.put(call, answer));
    return answers;
  }

  private StreamRunRequest start() {
    UserInput said = UserInput.newBuilder().setText(text).build();
    return StreamRunRequest.newBuilder()
        .setAgentId(agentId)
        .setRun(RunSpec.newBuilder().addMessages(InputMessage.newBuilder().setUser(said)))
        .setOptions(options())
        .build();
  }

  private AttachRunRequest attachment() {
    return AttachRunRequest.newBuilder()
        .setRunId(runId)
        .setAfterSequenceNumber(after)
        .setOptions(options())
        .build();
  }
}
