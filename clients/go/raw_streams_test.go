package lettagrpc

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAStreamingCallFailsWithATypedErrorToo(t *testing.T) {
	refusal, err := status.New(codes.Aborted, "busy").WithDetails(
		&errdetails.ErrorInfo{Reason: string(ConversationBusy), Metadata: map[string]string{"active_run_id": "run-7"}})
	if err != nil {
		t.Fatal(err)
	}
	server := &playing{stream: func(int32, *lettapb.StreamRunRequest, starts) error { return refusal.Err() }}
	_, err = received(t.Context(), serve(t, server))
	var failure *Error
	if !errors.As(err, &failure) || !errors.Is(err, ConversationBusy) || failure.Metadata["active_run_id"] != "run-7" {
		t.Errorf("%T: %v", err, err)
	}
}

func TestAStreamingCallSaysThatItsContextOrItsClientEnded(t *testing.T) {
	for name, way := range map[string]struct {
		end  func(stop context.CancelFunc, client *Client)
		want error
	}{
		"context": {func(stop context.CancelFunc, _ *Client) { stop() }, context.Canceled},
		"client":  {func(_ context.CancelFunc, client *Client) { _ = client.Close() }, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{})
			client := serve(t, &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error {
				close(asked)
				<-send.Context().Done()
				return send.Context().Err()
			}})
			ctx, stop := context.WithCancel(bounded(t))
			go func() {
				<-asked
				way.end(stop, client)
			}()
			if _, err := received(ctx, client); !errors.Is(err, way.want) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func TestAStreamingCallThatEndsWellEndsWithEOF(t *testing.T) {
	server := &playing{stream: func(_ int32, _ *lettapb.StreamRunRequest, send starts) error { return hello(send) }}
	count, err := received(t.Context(), serve(t, server))
	if count == 0 || err != io.EOF {
		t.Errorf("%d responses, then %v", count, err)
	}
}

// received counts the responses of a call that is made with the generated service, and says how it ended.
func received(ctx context.Context, client *Client) (int, error) {
	stream, err := client.Runs.StreamRun(ctx, &lettapb.StreamRunRequest{})
	for count := 0; ; count++ {
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			return count, err
		}
	}
}
