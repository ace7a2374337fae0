package lettagrpc

import (
	"context"
	"errors"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const runIDKey = "letta-run-id"

// silence ends a call on which no word has come for so long.
type silence time.Duration

func (s silence) Error() string { return "no word from the server for " + time.Duration(s).String() }

// response is what StreamRun and AttachRun answer with.
type response interface {
	GetRunId() string
	GetEvents() []*lettapb.RunEvent
}

// followCall is one streaming call, from its start to its first failure or its end.
type followCall struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	release func() bool
	header  func() (metadata.MD, error)
	receive func() (response, error)
}

// follow begins a call. It has no deadline of its own: a run may take its time; silence is what ends it, or the end of ctx.
func follow[Response any](
	ctx context.Context, open func(context.Context) (grpc.ServerStreamingClient[Response], error), read func(*Response) response,
) (*followCall, error) {
	call := &followCall{}
	// A deadline that travels to the server could come back as the server's, ahead of ours, and look like a broken connection.
	call.ctx, call.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	call.release = context.AfterFunc(ctx, func() { call.cancel(context.Cause(ctx)) })
	stream, err := open(call.ctx)
	if err != nil {
		call.close()
		return nil, err
	}
	call.header = stream.Header
	call.receive = func() (response, error) {
		message, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return read(message), nil
	}
	return call, nil
}

// runID waits until the call is accepted, or has failed: then it is empty, and next tells why.
func (c *followCall) runID(limit time.Duration) string {
	defer c.watch(limit)()
	header, err := c.header()
	if values := header.Get(runIDKey); err == nil && len(values) > 0 {
		return values[0]
	}
	return ""
}

// next returns the next response, or io.EOF behind the last one of a call that ended OK.
func (c *followCall) next(limit time.Duration) (response, error) {
	defer c.watch(limit)()
	message, err := c.receive()
	var silent silence
	if err != nil && errors.As(context.Cause(c.ctx), &silent) {
		return nil, broken("%s", silent)
	}
	return message, err
}

// watch ends the call when the limit is over, until what it returns is called. 0 is no limit.
func (c *followCall) watch(limit time.Duration) func() {
	if limit == 0 {
		return func() {}
	}
	watchdog := time.AfterFunc(limit, func() { c.cancel(silence(limit)) })
	return func() { watchdog.Stop() }
}

// close ends the call for good.
func (c *followCall) close() {
	c.release()
	c.cancel(context.Canceled)
}
