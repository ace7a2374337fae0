package lettagrpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// notYet asks for a wait that no test would see the end of.
func notYet(t *testing.T) error {
	told, err := status.New(codes.Unavailable, "not yet").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return told.Err()
}

// callsOver hears of a call that is over, before the client does.
type callsOver chan struct{}

func (callsOver) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (callsOver) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (callsOver) HandleConn(context.Context, stats.ConnStats)                       {}

func (c callsOver) HandleRPC(_ context.Context, happened stats.RPCStats) {
	if _, over := happened.(*stats.End); over {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// bounded is a context that outlives whatever a test waits for.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestTheStreamsOfAClosedClientEndAtOnce(t *testing.T) {
	var open atomic.Int32
	begun := endless(&open)
	asked, refusal := make(chan struct{}, 1), notYet(t)
	silent := &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error {
		asked <- struct{}{}
		<-send.Context().Done()
		return send.Context().Err()
	}}
	refusing := &playing{stream: func(int32, *lettapb.StreamRunRequest, starts) error { return refusal }}
	for name, way := range map[string]struct {
		server *playing
		wait   func(stream *Stream, over callsOver)
	}{
		"while a call is open":           {begun, func(stream *Stream, _ callsOver) { <-stream.accepted }},
		"while they wait to be accepted": {silent, func(*Stream, callsOver) { <-asked }},
		"while they wait for a server":   {refusing, func(_ *Stream, over callsOver) { <-over }},
	} {
		t.Run(name, func(t *testing.T) {
			over := make(callsOver, 1)
			client := serve(t, way.server, WithRetry(DefaultRetry), WithDialOptions(grpc.WithStatsHandler(over)))
			stream := client.Stream(bounded(t), "ada", "Hello?")
			last := make(chan error)
			go func() {
				var failure error
				for _, err := range stream.Events() {
					failure = err
				}
				last <- failure
			}()
			way.wait(stream, over)
			_ = client.Close()
			if err := <-last; !errors.Is(err, ErrClosed) || status.Code(err) != codes.Canceled {
				t.Errorf("the reader was told %v", err)
			}
			leavesNoCall(t, &open)
		})
	}
	if begun.attaches.Load() != 0 || refusing.streams.Load() != 1 {
		t.Errorf("%d attaches, %d starts", begun.attaches.Load(), refusing.streams.Load())
	}
}

func TestTheCallsOfAClosedClientEndAtOnce(t *testing.T) {
	asked, refusal := make(callsOver, 1), notYet(t)
	for name, way := range map[string]struct {
		get   func(ctx context.Context, _ int32) (*lettapb.Run, error)
		watch []grpc.DialOption
	}{
		"at work": {get: func(ctx context.Context, _ int32) (*lettapb.Run, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		"waiting for another try": {
			get:   func(context.Context, int32) (*lettapb.Run, error) { return nil, refusal },
			watch: []grpc.DialOption{grpc.WithStatsHandler(asked)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := &playing{get: way.get}
			client := serve(t, server, WithRetry(DefaultRetry), WithDialOptions(way.watch...))
			failed := make(chan error)
			go func() {
				_, err := client.Runs.GetRun(bounded(t), &lettapb.GetRunRequest{RunId: "run-1"})
				failed <- err
			}()
			<-asked
			_ = client.Close()
			if err := <-failed; !errors.Is(err, ErrClosed) || server.gets.Load() != 1 {
				t.Errorf("%v after %d tries", err, server.gets.Load())
			}
		})
	}
}

func TestNothingBeginsOnAClosedClient(t *testing.T) {
	client := serve(t, &playing{})
	_ = client.Close()
	_, called := client.Runs.GetRun(bounded(t), &lettapb.GetRunRequest{RunId: "run-1"})
	_, started := client.Stream(bounded(t), "ada", "Hello?").Started()
	_, attached := client.Attach(bounded(t), "run-1", 0).Text()
	_, cancelled := client.Attach(bounded(t), "run-1", 0).Cancel(bounded(t))
	for what, err := range map[string]error{"a call": called, "a start": started, "an attachment": attached, "a cancel": cancelled} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s failed with %v", what, err)
		}
	}
}

func TestAContextThatEndsIsStillNoClosedClient(t *testing.T) {
	refusal := notYet(t)
	client := serve(t, &playing{get: func(context.Context, int32) (*lettapb.Run, error) { return nil, refusal }})
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	_, err := client.Runs.GetRun(ctx, &lettapb.GetRunRequest{RunId: "run-1"})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}
