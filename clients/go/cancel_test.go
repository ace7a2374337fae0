package lettagrpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type attachments = grpc.ServerStreamingServer[lettapb.AttachRunResponse]

func TestCancelWaitsForTheRunToBeAccepted(t *testing.T) {
	var open atomic.Int32
	server := endless(&open)
	stream := serve(t, server).Stream(t.Context(), "ada", "Hello?")
	cancelled := make(chan string)
	go func() {
		run, _ := stream.Cancel(context.Background())
		cancelled <- run.GetId()
	}()
	if _, err := stream.Started(); err != nil {
		t.Fatal(err)
	}
	if id := <-cancelled; id != "run-1" || server.cancels.Load() != 1 {
		t.Errorf("%d cancels, of %q", server.cancels.Load(), id)
	}
	stream.Close()
	leavesNoCall(t, &open)
}

func TestCancelOfAnAcceptedRunIsSentWhateverBecameOfTheStream(t *testing.T) {
	for name, end := range map[string]func(stream *Stream, stop context.CancelFunc){
		"closed":                  func(stream *Stream, _ context.CancelFunc) { stream.Close() },
		"its context has ended":   func(_ *Stream, stop context.CancelFunc) { stop() },
		"read to the run's end":   func(stream *Stream, _ context.CancelFunc) { _, _ = stream.Final() },
		"neither closed nor read": func(*Stream, context.CancelFunc) {},
	} {
		t.Run(name, func(t *testing.T) {
			server := &playing{attach: func(_ int32, _ *lettapb.AttachRunRequest, send attachments) error {
				return send.Send(&lettapb.AttachRunResponse{RunId: "run-1", Events: []*lettapb.RunEvent{event(1, completed)}})
			}}
			client := serve(t, server)
			// A choice that is left to chance would go wrong in one of so many.
			for range 20 {
				ctx, stop := context.WithCancel(t.Context())
				stream := client.Attach(ctx, "run-1", 0)
				end(stream, stop)
				if run, err := stream.Cancel(t.Context()); run.GetId() != "run-1" || err != nil {
					t.Errorf("%v, %v", run, err)
				}
				stop()
			}
			if server.cancels.Load() != 20 {
				t.Errorf("%d cancels were sent", server.cancels.Load())
			}
		})
	}
}

func TestCancelOfAStreamThatWasClosedBeforeItsRunWasAcceptedSaysSo(t *testing.T) {
	server := &playing{}
	stream := serve(t, server).Stream(t.Context(), "ada", "Hello?")
	stream.Close()
	if _, err := stream.Cancel(t.Context()); !errors.Is(err, ErrClosed) || server.cancels.Load() != 0 {
		t.Errorf("%v after %d cancels", err, server.cancels.Load())
	}
}

func TestCancelOfARunThatIsNotAcceptedEndsWithWhatEndsTheStream(t *testing.T) {
	over, stop := context.WithCancel(t.Context())
	stop()
	for name, way := range map[string]struct {
		ctx  context.Context
		end  func(client *Client)
		want error
	}{
		"its client is closed":  {t.Context(), func(client *Client) { _ = client.Close() }, ErrClosed},
		"its context has ended": {over, func(*Client) {}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, &playing{})
			stream := client.Stream(way.ctx, "ada", "Hello?")
			cancelled := make(chan error)
			go func() {
				_, err := stream.Cancel(bounded(t))
				cancelled <- err
			}()
			way.end(client)
			if err := <-cancelled; !errors.Is(err, way.want) || status.Code(err) != codes.Canceled {
				t.Errorf("Cancel failed with %v", err)
			}
		})
	}
}
