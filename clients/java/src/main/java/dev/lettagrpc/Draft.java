package dev.lettagrpc;

import dev.lettagrpc.v1.ContentPart;
import dev.lettagrpc.v1.Message;
import dev.lettagrpc.v1.MessageStarted;
import dev.lettagrpc.v1.ReasoningDelta;
import dev.lettagrpc.v1.Role;
import dev.lettagrpc.v1.TextDelta;
import dev.lettagrpc.v1.ToolCall;
import dev.lettagrpc.v1.ToolCallDelta;
import java.util.Map;
import java.util.TreeMap;

/** A message: the sum of its deltas, until it is completed. */
final class Draft {
  private final String id;
  private final StringBuilder reasoning = new StringBuilder();
  private final Map<Integer, StringBuilder> text = new TreeMap<>();
  private final Map<Integer, ToolCallDelta> calls = new TreeMap<>();
  private final Map<Integer, StringBuilder> arguments = new TreeMap<>();
  private Role role = Role.ROLE_ASSISTANT;
  private Message completed;

  Draft(String id) {
    this.id = id;
  }

  void begin(MessageStarted started) {
    role = started.getRole();
  }

  void add(TextDelta delta) {
    text.computeIfAbsent(delta.getContentIndex(), index -> new StringBuilder())
        .append(delta.getText());
  }

  void add(ReasoningDelta delta) {
    reasoning.append(delta.getText());
  }

  /** The first delta of a call names it. */
  void add(ToolCallDelta delta) {
    calls.putIfAbsent(delta.getCallIndex(), delta);
    arguments
        .computeIfAbsent(delta.getCallIndex(), index -> new StringBuilder())
        .append(delta.getArguments());
  }

  /** Replaces whatever the deltas had said, and will say. */
  void complete(Message message) {
    completed = message;
    // Or every text would be held twice for as long as somebody keeps the stream.
    text.clear();
    calls.clear();
    arguments.clear();
    reasoning.setLength(0);
    reasoning.trimToSize();
  }

  boolean completed() {
    return completed != null;
  }

  /** Returns what there is as a message. */
  Message message() {
    if (completed != null) {
      return completed;
    }
    Message.Builder message = Message.newBuilder().setId(id).setRole(role);
    if (!reasoning.isEmpty()) {
      message.addContent(ContentPart.newBuilder().setReasoning(reasoning.toString()));
    }
    text.values()
        .forEach(part -> message.addContent(ContentPart.newBuilder().setText(part.toString())));
    calls.forEach(
        (index, first) ->
            message.addToolCalls(
                ToolCall.newBuilder()
                    .setId(first.getToolCallId())
                    .setName(first.getName())
                    .setArguments(arguments.get(index).toString())));
    return message.build();
  }
}
