package dev.lettagrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lettagrpc.v1.GetRunRequest;
import dev.lettagrpc.v1.GetRunResponse;
import dev.lettagrpc.v1.RunServiceGrpc;
import io.grpc.Server;
import io.grpc.ServerBuilder;
import io.grpc.ServerCredentials;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import io.grpc.TlsServerCredentials;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class TlsTest {
  private static final char[] PASSWORD = "password".toCharArray();

  @TempDir static Path folder;
  private static KeyStore keys;
  private Server server;

  @BeforeAll
  static void makeKeys() throws Exception {
    keys = selfSigned();
  }

  @BeforeEach
  void serve() throws Exception {
    server = builder(credentials()).addService(new Runs()).build().start();
  }

  @AfterEach
  void stop() {
    server.shutdownNow();
  }

  @Test
  void aServerIsSpokenToWhoseCertificateIsTrusted() throws Exception {
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(keys);
    var trusting =
        TlsChannelCredentials.newBuilder().trustManager(trust.getTrustManagers()).build();

    try (LettaClient client = builder().tls(trusting).build()) {
      assertEquals("run-1", client.run("run-1").getId());
    }
  }

  @Test
  void aServerIsNotSpokenToWhoseCertificateNobodyKnows() {
    try (LettaClient client = builder().retry(Stage.QUICK).build()) {
      LettaException failure = assertThrows(LettaException.class, () -> client.run("run-1"));

      assertEquals(Status.Code.UNAVAILABLE, failure.code());
    }
  }

  /** For the loopback alone. By its name, because the transport is there at run time only. */
  private static ServerBuilder<?> builder(ServerCredentials credentials)
      throws ReflectiveOperationException {
    return (ServerBuilder<?>)
        Class.forName("io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder")
            .getMethod("forAddress", SocketAddress.class, ServerCredentials.class)
            .invoke(null, new InetSocketAddress("127.0.0.1", 0), credentials);
  }

  private LettaClientBuilder builder() {
    return LettaClient.builder().target("127.0.0.1:" + server.getPort());
  }

  private ServerCredentials credentials() throws GeneralSecurityException {
    KeyManagerFactory own = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    own.init(keys, PASSWORD);
    return TlsServerCredentials.newBuilder().keyManager(own.getKeyManagers()).build();
  }

  /** The JDK makes certificates with its own program alone. */
  private static KeyStore selfSigned()
      throws IOException, InterruptedException, GeneralSecurityException {
    Path file = folder.resolve("keys.p12");
    String keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    List<String> command =
        List.of(
            keytool,
            "-genkeypair",
            "-keyalg",
            "EC",
            "-alias",
            "localhost",
            "-dname",
            "CN=localhost",
            "-ext",
            "SAN=ip:127.0.0.1",
            "-storetype",
            "PKCS12",
            "-keystore",
            file.toString(),
            "-storepass",
            new String(PASSWORD));
    assertEquals(0, new ProcessBuilder(command).start().waitFor());
    KeyStore made = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(file)) {
      made.load(in, PASSWORD);
    }
    // As a trusted root beside the server's own key.
    made.setCertificateEntry("root", made.getCertificate("localhost"));
    return made;
  }

  private static final class Runs extends RunServiceGrpc.RunServiceImplBase {
    @Override
    public void getRun(GetRunRequest request, StreamObserver<GetRunResponse> observer) {
      observer.onNext(GetRunResponse.newBuilder().setRun(Events.run()).build());
      observer.onCompleted();
    }
  }
}
