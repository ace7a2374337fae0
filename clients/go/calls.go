package lettagrpc

import (
	"context"
	"strings"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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
			return failure
		}
		if err := c.sleep(ctx, wait); err != nil {
			return err
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
