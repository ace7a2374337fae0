package lettagrpc

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// These wait for something that takes its time.
var unlimited = map[string]bool{
	lettapb.RunService_ExecuteRun_FullMethodName: true,
	lettapb.ToolService_RunTool_FullMethodName:   true,
}

// ask makes every unary call: with a time limit, with typed errors, and again where that is safe.
func (c *Client) ask(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	tries := attempts{policy: c.retry, limit: c.retry.CallAttempts}
	for {
		failure := c.try(ctx, method, request, reply, connection, invoke, options)
		if failure == nil {
			return nil
		}
		wait, again := tries.after(failure)
		if !again || !repeatable(method, request) {
			return failure.because(tries.last)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return errorFrom(err).because(tries.last)
		}
	}
}

func (c *Client) try(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options []grpc.CallOption,
) *Error {
	if _, limited := ctx.Deadline(); !limited && !unlimited[method] {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	err := invoke(ctx, method, request, reply, connection, options...)
	if err == nil {
		return nil
	}
	return blamed(request, c.told(ctx, err))
}

// blamed returns a failure, or that the request cannot be encoded, invalid UTF-8 for one: what grpc calls that, INTERNAL, is
// what broken connections and servers say, too.
func blamed(request any, failure *Error) *Error {
	if failure.Code != codes.Internal || failure.Reason != "" {
		return failure
	}
	if message, ok := request.(proto.Message); ok {
		if _, err := proto.Marshal(message); err != nil {
			return invalid(err.Error())
		}
	}
	return failure
}

// told is what the caller is told of a failed call.
func (c *Client) told(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	failure := errorFrom(err)
	if c.closed() && failure.Retryable() {
		return closedError()
	}
	if failure.Code == codes.DeadlineExceeded && failure.Reason == "" {
		// The server's clock was ahead of ours. The caller has waited for long enough, and what was asked may have been done.
		failure.cause = context.DeadlineExceeded
	}
	return failure
}

// open makes every streaming call: once, with typed errors.
func (c *Client) open(
	ctx context.Context, about *grpc.StreamDesc, connection *grpc.ClientConn, method string, begin grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	stream, err := begin(ctx, about, connection, method, options...)
	if err != nil {
		return nil, c.told(ctx, err)
	}
	return &typedStream{ClientStream: stream, client: c, ctx: ctx}, nil
}

// typedStream is a streaming call whose failures are an [*Error]. io.EOF is none.
type typedStream struct {
	grpc.ClientStream
	client *Client
	ctx    context.Context
}

func (s *typedStream) Header() (metadata.MD, error) {
	header, err := s.ClientStream.Header()
	return header, s.told(err)
}

func (s *typedStream) SendMsg(message any) error {
	err := s.told(s.ClientStream.SendMsg(message))
	var failure *Error
	if errors.As(err, &failure) {
		return blamed(message, failure)
	}
	return err
}

func (s *typedStream) RecvMsg(message any) error { return s.told(s.ClientStream.RecvMsg(message)) }

func (s *typedStream) told(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return s.client.told(s.ctx, err)
}

// repeatable tells whether a call may be made twice: it changes nothing, or nothing more, or has a request id.
func repeatable(method string, request any) bool {
	if named, ok := request.(interface{ GetRequestId() string }); ok {
		return named.GetRequestId() != ""
	}
	name := method[strings.LastIndex(method, "/")+1:]
	for _, verb := range []string{"Get", "List", "Search", "Export", "CancelRun"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}
