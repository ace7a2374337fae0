package dev.lettagrpc;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import java.time.Duration;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** Makes a {@link LettaClient}; connects with its first call. */
public final class LettaClientBuilder {
  // A dead connection is left within 15 s. Servers cut off who pings more often than every 5 s.
  private static final int KEEPALIVE_SECONDS = 10;
  private static final int KEEPALIVE_TIMEOUT_SECONDS = 5;
  // A response holds at most 1 MiB of events, or one event of 2 MiB; a page of messages may be
  // larger.
  private static final int MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
  // Details of an error are up to 6 KiB, and a third more on the wire: grpc's 8 KiB would lose
  // them.
  private static final int MAX_METADATA_BYTES = 32 * 1024;

  private String target = "127.0.0.1:50051";
  private ChannelCredentials credentials = TlsChannelCredentials.create();
  private ManagedChannel channel;
  private String apiKey;
  private Duration timeout = Duration.ofSeconds(60);
  private RetryPolicy retry = RetryPolicy.defaults();
  private Executor executor = LettaClientBuilder::onThread;

  LettaClientBuilder() {}

  /** Host and port, or any name that grpc resolves; default 127.0.0.1:50051. */
  public LettaClientBuilder target(String target) {
    this.target = target;
    return this;
  }

  /** Speaks without TLS. */
  public LettaClientBuilder plaintext() {
    credentials = InsecureChannelCredentials.create();
    return this;
  }

  /** Speaks TLS and trusts the machine's roots; the default. */
  public LettaClientBuilder tls() {
    return tls(TlsChannelCredentials.create());
  }

  /** Speaks TLS with roots or a certificate of your own. */
  public LettaClientBuilder tls(ChannelCredentials own) {
    credentials = own;
    return this;
  }

  /** Uses an open channel in place of target and credentials; closing the client leaves it open. */
  public LettaClientBuilder channel(ManagedChannel open) {
    channel = open;
    return this;
  }

  /**
   * Sent as {@code authorization: Bearer} with every call; null for none.
   *
   * @throws IllegalArgumentException if no header takes it
   */
  public LettaClientBuilder apiKey(String key) {
    // Keys are read from files, which end in a line end.
    String trimmed = key == null ? "" : key.strip();
    if (!trimmed.chars().allMatch(letter -> letter >= ' ' && letter <= '~')) {
      // Not quoted: it is a secret.
      throw new IllegalArgumentException("the API key has more than printable ASCII");
    }
    apiKey = trimmed.isEmpty() ? null : trimmed;
    return this;
  }

  /** How long a call may take; default 60 s. Streams take as long as the run. */
  public LettaClientBuilder timeout(Duration limit) {
    timeout = limit;
    return this;
  }

  /** How patient the client is with what can be repeated without harm. */
  public LettaClientBuilder retry(RetryPolicy policy) {
    retry = policy;
    return this;
  }

  /**
   * Where subscriptions and futures wait for events: each takes a thread for as long as it does.
   * Default: a daemon thread for each.
   */
  public LettaClientBuilder executor(Executor own) {
    executor = own;
    return this;
  }

  /** Makes the client. */
  public LettaClient build() {
    ManagedChannel owned = channel == null ? open() : null;
    ManagedChannel used = channel == null ? owned : channel;
    return new LettaClient(new Connection(used, apiKey, timeout, retry), owned, executor);
  }

  private ManagedChannel open() {
    return Grpc.newChannelBuilder(target, credentials)
        .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
        .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
        .maxInboundMessageSize(MAX_RESPONSE_BYTES)
        .maxInboundMetadataSize(MAX_METADATA_BYTES)
        .build();
  }

  private static void onThread(Runnable work) {
    Thread thread = new Thread(work, "letta-grpc-run");
    thread.setDaemon(true);
    thread.start();
  }
}
