package dev.lettagrpc.conformance;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import dev.lettagrpc.Answer;
import dev.lettagrpc.LettaClient;
import dev.lettagrpc.RetryPolicy;
import dev.lettagrpc.RunStream;
import dev.lettagrpc.v1.PendingAction;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.List;

/** {@code Conformance TARGET}: tasks on stdin, one JSON line for each on stdout. */
public final class Conformance {
  private static final String KEY = "conformance-key";
  // As patient as by default, and quicker.
  private static final RetryPolicy QUICK =
      RetryPolicy.defaults().withDelays(Duration.ofMillis(10), Duration.ofMillis(50));
  private static final RetryPolicy PATIENT =
      RetryPolicy.defaults()
          .withDelays(Duration.ofMillis(50), Duration.ofMillis(500))
          .withStreamAttempts(1000)
          .withCallAttempts(1000);
  private static final Gson JSON =
      new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

  private Conformance() {}

  /** Takes tasks until there are no more. */
  public static void main(String[] arguments) throws IOException {
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, UTF_8);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    String target = arguments[arguments.length - 1];
    try (LettaClient quick = connect(target, QUICK);
        LettaClient patient = connect(target, PATIENT)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        Task task = JSON.fromJson(line, Task.class);
        out.println(JSON.toJson(perform(task.patient ? patient : quick, task)));
      }
    }
  }

  private static LettaClient connect(String target, RetryPolicy retry) {
    return LettaClient.builder().target(target).plaintext().apiKey(KEY).retry(retry).build();
  }

  private static Printed perform(LettaClient client, Task task) {
    RunStream stream = task.open(client);
    Printed first = Printed.of(stream, task.action);
    if (!task.answers()) {
      return first;
    }
    List<String> pending =
        stream.pendingActions().stream().map(PendingAction::getToolCallId).toList();
    Answer answer = task.answer();
    RunStream answering =
        client.answer(stream.finalRun(), task.answerToEach(pending, answer), task.options());
    return Printed.of(answering, "stream").waitedFor(pending);
  }
}
