package dev.lettagrpc;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** From a failed call to an exception: google.rpc.Status and its details, read once. */
final class Statuses {
  private Statuses() {}

  static LettaException exceptionOf(StatusRuntimeException failure) {
    com.google.rpc.Status status = detailed(failure);
    ErrorInfo info = detail(status, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
    BadRequest bad = detail(status, BadRequest.class).orElse(BadRequest.getDefaultInstance());
    Duration retryDelay =
        detail(status, RetryInfo.class)
            .map(RetryInfo::getRetryDelay)
            .map(Statuses::duration)
            .orElse(null);
    LettaException.Refusal refusal =
        new LettaException.Refusal(
            info.getReason(), info.getMetadataMap(), violations(bad), retryDelay);
    return new LettaException(message(failure), failure.getStatus().getCode(), refusal, failure);
  }

  static Duration duration(com.google.protobuf.Duration span) {
    return Duration.ofSeconds(span.getSeconds(), span.getNanos());
  }

  private static String message(StatusRuntimeException failure) {
    String told = failure.getStatus().getDescription();
    return told == null || told.isEmpty() ? words(failure) : told;
  }

  private static String words(StatusRuntimeException failure) {
    return failure.getStatus().getCode().name().replace('_', ' ').toLowerCase(Locale.ROOT);
  }

  private static com.google.rpc.Status detailed(StatusRuntimeException failure) {
    try {
      com.google.rpc.Status status = StatusProto.fromThrowable(failure);
      return status == null ? com.google.rpc.Status.getDefaultInstance() : status;
    } catch (IllegalArgumentException contradiction) {
      // Trailers that contradict the status come from something between us and the server: the
      // status is what holds.
      return com.google.rpc.Status.getDefaultInstance();
    }
  }

  private static <D extends Message> Optional<D> detail(
      com.google.rpc.Status status, Class<D> kind) {
    for (Any packed : status.getDetailsList()) {
      if (packed.is(kind)) {
        try {
          return Optional.of(packed.unpack(kind));
        } catch (InvalidProtocolBufferException garbage) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }

  private static Map<String, String> violations(BadRequest bad) {
    Map<String, String> found = new LinkedHashMap<>();
    bad.getFieldViolationsList()
        .forEach(violation -> found.put(violation.getField(), violation.getDescription()));
    return Collections.unmodifiableMap(found);
  }
}
