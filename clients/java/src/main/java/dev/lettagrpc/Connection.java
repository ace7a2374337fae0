package dev.lettagrpc;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** Makes calls on one channel, each with the API key, a time limit and typed errors. */
final class Connection {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final ManagedChannel managed;
  private final Channel channel;
  private final Duration timeout;
  private final RetryPolicy retry;
  private final CountDownLatch closed = new CountDownLatch(1);

  Connection(ManagedChannel managed, String apiKey, Duration timeout, RetryPolicy retry) {
    this.managed = managed;
    this.channel = apiKey == null ? managed : authorized(managed, apiKey);
    this.timeout = timeout;
    this.retry = retry;
  }

  Channel channel() {
    return channel;
  }

  Duration timeout() {
    return timeout;
  }

  RetryPolicy retry() {
    return retry;
  }

  Backoff backoff() {
    return new Backoff(retry, () -> ThreadLocalRandom.current().nextDouble());
  }

  /** Makes a call that must not be made twice. */
  <Q, S> S call(MethodDescriptor<Q, S> method, Q request, Duration limit) {
    CallOptions options =
        CallOptions.DEFAULT.withDeadlineAfter(limit.toNanos(), TimeUnit.NANOSECONDS);
    try {
      return ClientCalls.blockingUnaryCall(channel, method, options, request);
    } catch (StatusRuntimeException failure) {
      throw LettaException.of(failure);
    }
  }

  /** Makes a call that may be repeated without harm; it is, while the server is out of reach. */
  <Q, S> S ask(MethodDescriptor<Q, S> method, Q request, Duration limit) {
    Backoff backoff = backoff();
    while (true) {
      try {
        return call(method, request, limit);
      } catch (LettaException failure) {
        if (Waits.over(failure) || isShutDown()) {
          throw failure.because(backoff.last());
        }
        Duration delay = backoff.delayAfter(failure, retry.callAttempts());
        redial();
        Waits.until(closed, delay);
        if (isShutDown()) {
          throw failure;
        }
      }
    }
  }

  /** Left to itself grpc waits up to two minutes before it dials a lost server again. */
  void redial() {
    managed.resetConnectBackoff();
  }

  /**
   * Tells whether there is a connection: a server that has it may be waited for. Lets go of one that
   * nobody answers: left to itself grpc would wait for it as long as it is open.
   */
  boolean isUp() {
    try {
      if (managed.getState(false) == ConnectivityState.READY) {
        return true;
      }
    } catch (UnsupportedOperationException unknown) {
      return true;
    }
    managed.enterIdle();
    return false;
  }

  /** Repeats no call any more; the channel is its owner's. */
  void close() {
    closed.countDown();
  }

  /** Tells whether the client or its channel was closed: then no new try helps, or is wanted. */
  boolean isShutDown() {
    return closed.getCount() == 0 || managed.isShutdown();
  }

  private static Channel authorized(ManagedChannel managed, String apiKey) {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + apiKey);
    return ClientInterceptors.intercept(
        managed, MetadataUtils.newAttachHeadersInterceptor(headers));
  }
}
