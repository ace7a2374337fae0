package dev.lettagrpc;

import dev.lettagrpc.v1.Agent;
import dev.lettagrpc.v1.AgentServiceGrpc;
import dev.lettagrpc.v1.AttachRunRequest;
import dev.lettagrpc.v1.CancelRunRequest;
import dev.lettagrpc.v1.CreateAgentRequest;
import dev.lettagrpc.v1.GetRunRequest;
import dev.lettagrpc.v1.InputMessage;
import dev.lettagrpc.v1.PendingAction;
import dev.lettagrpc.v1.Run;
import dev.lettagrpc.v1.RunServiceGrpc;
import dev.lettagrpc.v1.RunSpec;
import dev.lettagrpc.v1.StreamOptions;
import dev.lettagrpc.v1.StreamRunRequest;
import dev.lettagrpc.v1.UserInput;
import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.WeakHashMap;
import java.util.concurrent.Executor;
import java.util.function.Function;

/**
 * Speaks to one server, over one channel. Safe for any number of threads.
 *
 * <pre>{@code
 * try (LettaClient client = LettaClient.builder().target("127.0.0.1:50051").plaintext().build();
 *     RunStream stream = client.stream(agentId, "hello")) {
 *   stream.textDeltas().forEach(System.out::print);
 * }
 * }</pre>
 */
public final class LettaClient implements AutoCloseable {
  private final Connection connection;
  private final ManagedChannel owned;
  private final Executor executor;
  private final Set<RunStream> streams =
      Collections.synchronizedSet(Collections.newSetFromMap(new WeakHashMap<>()));

  LettaClient(Connection connection, ManagedChannel owned, Executor executor) {
    this.connection = connection;
    this.owned = owned;
    this.executor = executor;
  }

  /** Returns what makes a client. */
  public static LettaClientBuilder builder() {
    return new LettaClientBuilder();
  }

  /** Returns what a person says, as input. */
  public static InputMessage userMessage(String text) {
    return InputMessage.newBuilder().setUser(UserInput.newBuilder().setText(text)).build();
  }

  /** Returns the stream of a new run in the agent's default conversation: a person says this. */
  public RunStream stream(String agentId, String text) {
    return stream(
        StreamRunRequest.newBuilder()
            .setAgentId(agentId)
            .setRun(RunSpec.newBuilder().addMessages(userMessage(text)))
            .build());
  }

  /**
   * Returns the stream of a new run, which starts with the first use of the stream. Safe against
   * broken connections from the first moment on: a request without an id is given one, and a start
   * that is repeated has the same.
   */
  public RunStream stream(StreamRunRequest request) {
    StreamRunRequest named =
        request.getRequestId().isEmpty()
            ? request.toBuilder().setRequestId(UUID.randomUUID().toString()).build()
            : request;
    return kept(Opening.of(named));
  }

  /** Returns the stream of a run that there is, from its first event on. */
  public RunStream attach(String runId) {
    return attach(runId, 0);
  }

  /** Returns the stream of a run that there is, from behind a number on. */
  public RunStream attach(String runId, int after) {
    return attach(
        AttachRunRequest.newBuilder().setRunId(runId).setAfterSequenceNumber(after).build());
  }

  /** Returns the stream of a run that there is. */
  public RunStream attach(AttachRunRequest request) {
    return kept(Opening.of(request));
  }

  /** Returns the stream of the run that answers waiting calls of another; null lets a call wait. */
  public RunStream answer(Run run, Function<PendingAction, Answer> decide) {
    Map<String, Answer> answers = new LinkedHashMap<>();
    for (PendingAction action : run.getPendingActionsList()) {
      Answer answer = decide.apply(action);
      if (answer != null) {
        answers.put(action.getToolCallId(), answer);
      }
    }
    return answer(run, answers);
  }

  /** Returns the stream of the run that answers waiting calls of another, by the call's id. */
  public RunStream answer(Run run, Map<String, Answer> answers) {
    return answer(run, answers, StreamOptions.getDefaultInstance());
  }

  /**
   * Returns the stream of the run that answers waiting calls of another, by the call's id.
   *
   * <p>Tools, model, system prompt and response format are those of the run that waits. Calls
   * without an answer go on waiting: then the new run ends at once, INTERRUPTED again.
   */
  public RunStream answer(Run run, Map<String, Answer> answers, StreamOptions options) {
    return stream(
        StreamRunRequest.newBuilder()
            .setAgentId(run.getAgentId())
            .setConversationId(run.getConversationId())
            .setRun(RunSpec.newBuilder().addAllMessages(Answer.input(answers)))
            .setOptions(options)
            .build());
  }

  /** Returns a run as it stands. */
  public Run run(String runId) {
    GetRunRequest request = GetRunRequest.newBuilder().setRunId(runId).build();
    return connection.ask(RunServiceGrpc.getGetRunMethod(), request, connection.timeout()).getRun();
  }

  /** Asks a run to end, for everyone; returns it as it is. */
  public Run cancel(String runId) {
    CancelRunRequest request = CancelRunRequest.newBuilder().setRunId(runId).build();
    return connection
        .ask(RunServiceGrpc.getCancelRunMethod(), request, connection.timeout())
        .getRun();
  }

  /** Makes an agent; returns it as the server keeps it. */
  public Agent createAgent(Agent agent) {
    CreateAgentRequest request = CreateAgentRequest.newBuilder().setAgent(agent).build();
    return call(AgentServiceGrpc.getCreateAgentMethod(), request).getAgent();
  }

  /**
   * Makes any unary call of the contract once, with the client's timeout and typed errors: {@code
   * client.call(AgentServiceGrpc.getListAgentsMethod(), request)}.
   */
  public <Q, S> S call(MethodDescriptor<Q, S> method, Q request) {
    return connection.call(method, request, connection.timeout());
  }

  /**
   * The channel, for generated stubs; the API key goes with each call. What they throw {@link
   * LettaException#of} translates.
   */
  public Channel channel() {
    return connection.channel();
  }

  /** Closes every stream and the channel; no call is repeated any more. Runs go on. */
  @Override
  public void close() {
    List<RunStream> open;
    synchronized (streams) {
      open = List.copyOf(streams);
    }
    open.forEach(RunStream::close);
    connection.close();
    if (owned != null) {
      owned.shutdownNow();
    }
  }

  private RunStream kept(Opening opening) {
    RunStream stream = new RunStream(connection, opening, executor);
    streams.add(stream);
    return stream;
  }
}
