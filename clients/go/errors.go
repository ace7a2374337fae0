package lettagrpc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrClosed is what a stream says that was closed before its run ended; the run goes on. Whatever fails because its client was
// closed is ErrClosed too, and an [*Error].
var ErrClosed = errors.New("the stream was closed before the run ended")

// How entries of metadata end that name a thing.
var namesOfThings = []string{"_id", "_ids", "name", "label"}

// Error is a call that failed. With errors.As it tells everything, with errors.Is its reason:
//
//	if errors.Is(err, lettagrpc.ConversationBusy) { … }
//
// One that came because a context ended is context.Canceled or context.DeadlineExceeded too, one of a closed client is ErrClosed.
// Where a deadline ended what was being repeated, the message tells why the try before failed.
type Error struct {
	Code codes.Code
	// The server's word for what is wrong; empty when no server of ours said anything.
	Reason  Reason
	Message string
	// Facts for programs, by names in snake_case.
	Metadata map[string]string
	// What is wrong with the request, by the path of the field.
	Fields map[string]string
	// How long the server asks to wait before another try; 0 when it says nothing.
	RetryDelay time.Duration

	cause error
}

func (e *Error) Error() string {
	word := string(e.Reason)
	if word == "" {
		word = e.Code.String()
	}
	return inWords(e.Message, word, e.Metadata)
}

// because adds to the end of a deadline why the try before it failed, if there was one.
func (e *Error) because(last *Error) *Error {
	if last != nil && errors.Is(e.cause, context.DeadlineExceeded) {
		e.cause = fmt.Errorf("%w; the try before failed: %w", e.cause, last)
		e.Message = e.cause.Error()
	}
	return e
}

// Unwrap returns the context's error, or ErrClosed, if that is the cause; that of a deadline wraps why the try before it failed.
func (e *Error) Unwrap() error { return e.cause }

// Is compares with a Reason.
func (e *Error) Is(target error) bool {
	reason, ok := target.(Reason)
	return ok && reason == e.Reason
}

// GRPCStatus lets status.Code and status.FromError read the error.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// Retryable tells whether the same call may succeed when it is made again.
func (e *Error) Retryable() bool {
	switch {
	case e.cause != nil:
		return false
	case e.Code == codes.Unavailable, e.Reason == StreamRecycled, e.Reason == TooManyStreams:
		return true
	case e.Reason != "":
		return false
	}
	// What proxies, connections and crashed servers send: no word of our server's, so another try may meet a healthy one.
	switch e.Code {
	case codes.Aborted, codes.Canceled, codes.DataLoss, codes.DeadlineExceeded, codes.Internal, codes.Unknown:
		return true
	default:
		return false
	}
}

// RunFailedError says that a run ended FAILED. errors.Is compares it with the Reason of the run's error.
type RunFailedError struct{ Run *lettapb.Run }

func (e *RunFailedError) Error() string {
	failure := e.Run.GetError()
	return "the run failed: " + inWords(failure.GetMessage(), failure.GetReason(), failure.GetMetadata())
}

// Is compares with a Reason.
func (e *RunFailedError) Is(target error) bool {
	reason, ok := target.(Reason)
	return ok && string(reason) == e.Run.GetError().GetReason()
}

// inWords adds to a message the word for what is wrong and, unless the message says so, which agent, run or tool it is about.
// Other facts are for programs.
func inWords(message, word string, metadata map[string]string) string {
	told := []string{word}
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		isThing := slices.ContainsFunc(namesOfThings, func(ending string) bool { return strings.HasSuffix(name, ending) })
		if value := metadata[name]; isThing && !strings.Contains(message, value) {
			told = append(told, name+"="+value)
		}
	}
	return fmt.Sprintf("%s (%s)", message, strings.Join(told, ", "))
}

// errorFrom reads a failed call's status and its details.
func errorFrom(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	told := status.Convert(err)
	failure := &Error{Code: told.Code(), Message: told.Message(), Metadata: map[string]string{}, Fields: map[string]string{}}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			failure.Reason = Reason(detail.GetReason())
			if metadata := detail.GetMetadata(); metadata != nil {
				failure.Metadata = metadata
			}
		case *errdetails.RetryInfo:
			failure.RetryDelay = detail.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				failure.Fields[violation.GetField()] = violation.GetDescription()
			}
		}
	}
	return failure
}

// contextError says that the caller's context has ended.
func contextError(ctx context.Context) *Error {
	told := status.FromContextError(ctx.Err())
	return &Error{Code: told.Code(), Message: told.Message(), Metadata: map[string]string{}, Fields: map[string]string{}, cause: ctx.Err()}
}

// closedError says that the client was closed.
func closedError() *Error {
	return &Error{
		Code: codes.Canceled, Message: "the client was closed", Metadata: map[string]string{}, Fields: map[string]string{}, cause: ErrClosed,
	}
}

// invalid says that the caller has given something that cannot be used.
func invalid(message string) *Error {
	return &Error{Code: codes.InvalidArgument, Message: message, Metadata: map[string]string{}, Fields: map[string]string{}}
}

// broken says that a stream fell silent, left events out or ended too early.
func broken(format string, arguments ...any) *Error {
	message := fmt.Sprintf(format, arguments...)
	return &Error{Code: codes.Unavailable, Message: message, Metadata: map[string]string{}, Fields: map[string]string{}}
}
