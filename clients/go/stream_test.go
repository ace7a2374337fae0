package lettagrpc

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type starts = grpc.ServerStreamingServer[lettapb.StreamRunResponse]

// hello says it in two events, then the run is completed.
func hello(send starts) error {
	return errors.Join(
		accept(send),
		send.Send(sent(delta(1, "Hel"))),
		send.Send(sent(delta(2, "lo"), event(3, said("message-1", "Hello")), event(4, completed))),
	)
}

// endless says one word, and nothing more until the call is gone.
func endless(open *atomic.Int32) *playing {
	return &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error {
		open.Add(1)
		defer open.Add(-1)
		if err := errors.Join(accept(send), send.Send(sent(delta(1, "Hel")))); err != nil {
			return err
		}
		<-send.Context().Done()
		return send.Context().Err()
	}}
}

func numbers(t *testing.T, stream *Stream) []int32 {
	t.Helper()
	var numbers []int32
	for event, err := range stream.Events() {
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, event.GetSequenceNumber())
	}
	return numbers
}

func TestAStreamYieldsEveryEventOnceAndTheText(t *testing.T) {
	client := serve(t, &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error { return hello(send) }})
	stream := client.Stream(t.Context(), "ada", "Hello?")
	if got := numbers(t, stream); !slices.Equal(got, []int32{1, 2, 3, 4}) {
		t.Errorf("events %v", got)
	}
	text, err := stream.Text()
	if text != "Hello" || err != nil || stream.LastSequenceNumber() != 4 || stream.RunID() != "run-1" {
		t.Errorf("%q, %v, event %d of %q", text, err, stream.LastSequenceNumber(), stream.RunID())
	}
}

func TestALoopThatIsLeftGoesOnWhereItStopped(t *testing.T) {
	client := serve(t, &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error { return hello(send) }})
	stream := client.Stream(t.Context(), "ada", "Hello?")
	for range stream.Events() {
		break
	}
	var rest []string
	for text, err := range stream.TextDeltas() {
		if err != nil {
			t.Fatal(err)
		}
		rest = append(rest, text)
	}
	if !slices.Equal(rest, []string{"lo"}) {
		t.Errorf("then came %q", rest)
	}
}

func TestARepeatedStartHasTheSameRequestID(t *testing.T) {
	var ids []string
	client := serve(t, &playing{stream: func(call int32, request *lettapb.StreamRunRequest, send starts) error {
		ids = append(ids, request.GetRequestId())
		if call < 3 {
			return status.Error(codes.Unavailable, "not yet")
		}
		return hello(send)
	}})
	if text, err := client.Stream(t.Context(), "ada", "Hello?").Text(); text != "Hello" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if len(ids) != 3 || len(slices.Compact(ids)) != 1 || len(ids[0]) != 36 {
		t.Errorf("request ids %q", ids)
	}
}

func TestABrokenStreamHandsOnWhatItHasBeforeItTriesAgain(t *testing.T) {
	server := &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error {
		// Event 3 is missing.
		return errors.Join(accept(send), send.Send(sent(delta(1, "Hel"), delta(2, "lo"), event(4, completed))))
	}}
	server.attach = func(_ int32, request *lettapb.AttachRunRequest, _ grpc.ServerStreamingServer[lettapb.AttachRunResponse]) error {
		return status.Errorf(codes.NotFound, "asked after %d", request.GetAfterSequenceNumber())
	}
	stream := serve(t, server).Stream(t.Context(), "ada", "Hello?")
	var seen []int32
	var failure *Error
	for event, err := range stream.Events() {
		if err == nil {
			seen = append(seen, event.GetSequenceNumber())
		} else if !errors.As(err, &failure) {
			t.Fatal(err)
		}
	}
	if !slices.Equal(seen, []int32{1, 2}) || failure == nil || failure.Message != "asked after 2" {
		t.Errorf("events %v, then %v", seen, failure)
	}
}

func TestCloseEndsAReaderInAnotherGoroutineWithoutAnError(t *testing.T) {
	var open atomic.Int32
	stream := serve(t, endless(&open)).Stream(t.Context(), "ada", "Hello?")
	read := make(chan error)
	go func() {
		for _, err := range stream.Events() {
			read <- err
		}
		close(read)
	}()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	stream.Close()
	if err := <-read; err != nil {
		t.Errorf("the reader was told %v", err)
	}
	leavesNoCall(t, &open)
	if _, err := stream.Final(); !errors.Is(err, ErrClosed) {
		t.Errorf("Final said %v", err)
	}
}

func TestCloseEndsTheReadingOfWhatIsThereAlready(t *testing.T) {
	client := serve(t, &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error { return hello(send) }})
	stream := client.Stream(t.Context(), "ada", "Hello?")
	var seen []int32
	for event, err := range stream.Events() {
		if err != nil {
			t.Fatal(err)
		}
		// The response that held it holds the rest, too.
		if seen = append(seen, event.GetSequenceNumber()); event.GetSequenceNumber() == 2 {
			stream.Close()
		}
	}
	if !slices.Equal(seen, []int32{1, 2}) {
		t.Errorf("events %v", seen)
	}
	if _, err := stream.Final(); !errors.Is(err, ErrClosed) {
		t.Errorf("Final said %v", err)
	}
}

func TestTheEndOfTheContextEndsTheReadingOfWhatIsThereAlready(t *testing.T) {
	client := serve(t, &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error { return hello(send) }})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := client.Stream(ctx, "ada", "Hello?")
	for event, err := range stream.Events() {
		switch {
		case err == nil && event.GetSequenceNumber() == 2:
			cancel()
		case err == nil && event.GetSequenceNumber() > 2, err != nil && !errors.Is(err, context.Canceled):
			t.Fatalf("then came event %d, %v", event.GetSequenceNumber(), err)
		}
	}
	if stream.LastSequenceNumber() != 2 {
		t.Errorf("read up to %d", stream.LastSequenceNumber())
	}
}

func TestTheEndOfTheContextIsAnErrorAndNoCancel(t *testing.T) {
	var open atomic.Int32
	server := endless(&open)
	client := serve(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client.Stream(ctx, "ada", "Hello?").Text()
	if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("Text said %v", err)
	}
	leavesNoCall(t, &open)
	if server.cancels.Load() != 0 || server.attaches.Load() != 0 {
		t.Errorf("%d cancels, %d attaches", server.cancels.Load(), server.attaches.Load())
	}
}

func TestAStreamThatIsNeverReadMakesNoCall(t *testing.T) {
	server := &playing{}
	stream := serve(t, server).Stream(t.Context(), "ada", "Hello?")
	stream.Close()
	if got := numbers(t, stream); got != nil || server.streams.Load() != 0 {
		t.Errorf("events %v of %d calls", got, server.streams.Load())
	}
}

func TestSilenceIsABrokenStream(t *testing.T) {
	var open atomic.Int32
	server := endless(&open)
	server.attach = func(_ int32, _ *lettapb.AttachRunRequest, send grpc.ServerStreamingServer[lettapb.AttachRunResponse]) error {
		return send.Send(&lettapb.AttachRunResponse{RunId: "run-1", Events: []*lettapb.RunEvent{event(2, completed)}})
	}
	stream := serve(t, server).Stream(t.Context(), "ada", "Hello?", WithHeartbeat(20*time.Millisecond))
	if got := numbers(t, stream); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("events %v", got)
	}
	leavesNoCall(t, &open)
}

func TestTheTextOfAFailedRunIsAnErrorWithItsReason(t *testing.T) {
	finished := event(1, failed)
	finished.GetRunFinished().GetRun().Error = &lettapb.RunError{Reason: "MODEL_OVERLOADED", Message: "too busy"}
	client := serve(t, &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error {
		return errors.Join(accept(send), send.Send(sent(finished)))
	}})
	_, err := client.Stream(t.Context(), "ada", "Hello?").Text()
	if !errors.Is(err, ModelOverloaded) {
		t.Errorf("Text said %v", err)
	}
}

func TestATimeThatIsOverForOneCallIsNotTheStreams(t *testing.T) {
	server := &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error {
		// OK before the run has ended, so the client asks how it stands.
		return errors.Join(accept(send), send.Send(sent(delta(1, "Hel"))))
	}}
	server.get = func(ctx context.Context, _ int32) (*lettapb.Run, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	server.attach = func(_ int32, _ *lettapb.AttachRunRequest, send grpc.ServerStreamingServer[lettapb.AttachRunResponse]) error {
		return send.Send(&lettapb.AttachRunResponse{RunId: "run-1", Events: []*lettapb.RunEvent{event(2, completed)}})
	}
	stream := serve(t, server, WithTimeout(50*time.Millisecond)).Stream(t.Context(), "ada", "Hello?")
	if got := numbers(t, stream); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("events %v", got)
	}
}

func TestToAttachWithoutARunIsNoStart(t *testing.T) {
	refusal := status.Error(codes.InvalidArgument, "run_id: is required")
	server := &playing{attach: func(int32, *lettapb.AttachRunRequest, attachments) error { return refusal }}
	if _, err := serve(t, server).Attach(t.Context(), "", 0).Final(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	if server.attaches.Load() != 1 || server.streams.Load() != 0 {
		t.Errorf("%d attachments, %d starts", server.attaches.Load(), server.streams.Load())
	}
}
