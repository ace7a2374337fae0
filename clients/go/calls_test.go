package lettagrpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestAReadIsRepeatedWhileTheServerIsOutOfReach(t *testing.T) {
	server := &playing{get: func(_ context.Context, call int32) (*lettapb.Run, error) {
		if call < 4 {
			return nil, status.Error(codes.Unavailable, "not yet")
		}
		return &lettapb.Run{Id: "run-1"}, nil
	}}
	answer, err := serve(t, server).Runs.GetRun(t.Context(), &lettapb.GetRunRequest{RunId: "run-1"})
	if answer.GetRun().GetId() != "run-1" || err != nil {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestATryOfACallDialsAgainWhateverTheBackOffOfTheConnection(t *testing.T) {
	var dials atomic.Int32
	away := grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
		dials.Add(1)
		return nil, errors.New("refused")
	})
	patient := RetryPolicy{Initial: 10 * time.Millisecond, Maximum: 10 * time.Millisecond, Multiplier: 1, CallAttempts: 50}
	client, err := NewClient("passthrough:///test", WithRetry(patient), WithDialOptions(away))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Runs.GetRun(t.Context(), &lettapb.GetRunRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	// By itself the connection dials four times in this half a second.
	if dialled := dials.Load(); dialled < 10 {
		t.Errorf("dialled %d times", dialled)
	}
}

func TestARequestThatCannotBeSentIsTheCallersFaultAndNotRepeated(t *testing.T) {
	client := serve(t, &playing{}, WithRetry(RetryPolicy{Initial: time.Hour, Maximum: time.Hour, Multiplier: 1, StreamAttempts: 2, CallAttempts: 2}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, read := client.Runs.GetRun(ctx, &lettapb.GetRunRequest{RunId: "run-\xff"})
	_, said := client.Stream(ctx, "ada", "\xff").Text()
	for _, err := range []error{read, said} {
		var failure *Error
		if !errors.As(err, &failure) || failure.Code != codes.InvalidArgument || !strings.Contains(failure.Message, "UTF-8") {
			t.Errorf("%v", err)
		}
	}
}

func TestATargetOfHTTPIsRefusedAtOnce(t *testing.T) {
	for _, target := range []string{"http://127.0.0.1:1", "HTTPS://agents.example:1"} {
		if _, err := NewClient(target); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestAChangeIsMadeOnce(t *testing.T) {
	server := &playing{create: func(int32) error { return status.Error(codes.Unavailable, "perhaps it was done") }}
	_, err := serve(t, server).Agents.CreateAgent(t.Context(), &lettapb.CreateAgentRequest{})
	var failure *Error
	if !errors.As(err, &failure) || server.creates.Load() != 1 {
		t.Errorf("%v after %d tries", err, server.creates.Load())
	}
}

func TestACallWithoutADeadlineGetsOne(t *testing.T) {
	server := &playing{get: func(ctx context.Context, _ int32) (*lettapb.Run, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	client := serve(t, server, WithTimeout(500*time.Millisecond))
	_, err := client.Runs.GetRun(t.Context(), &lettapb.GetRunRequest{})
	if !errors.Is(err, context.DeadlineExceeded) || server.gets.Load() != 1 {
		t.Errorf("%v after %d tries", err, server.gets.Load())
	}
}

func TestADeadlineThatEndsTheTriesSaysWhyTheyFailed(t *testing.T) {
	refusal := notYet(t)
	client := serve(t, &playing{
		get:    func(context.Context, int32) (*lettapb.Run, error) { return nil, refusal },
		stream: func(int32, *lettapb.StreamRunRequest, starts) error { return refusal },
		attach: func(int32, *lettapb.AttachRunRequest, attachments) error { return refusal },
	})
	for name, use := range map[string]func(ctx context.Context) error{
		"a call": func(ctx context.Context) error {
			_, err := client.Runs.GetRun(ctx, &lettapb.GetRunRequest{})
			return err
		},
		"a start": func(ctx context.Context) error {
			_, err := client.Stream(ctx, "ada", "Hello?").Started()
			return err
		},
		"a stream": func(ctx context.Context) error {
			_, err := client.Attach(ctx, "run-1", 0).Text()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The first try has to have failed by then.
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			err := use(ctx)
			if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if cause := errors.Unwrap(err); !strings.Contains(err.Error(), "not yet") || !strings.Contains(cause.Error(), "not yet") {
				t.Errorf("%v, because of %v", err, cause)
			}
		})
	}
}

func TestWhatMayBeRepeated(t *testing.T) {
	for method, request := range map[string]any{
		lettapb.RunService_CancelRun_FullMethodName:                &lettapb.CancelRunRequest{},
		lettapb.RunService_ExecuteRun_FullMethodName:               &lettapb.ExecuteRunRequest{RequestId: "1"},
		lettapb.AgentService_ListAgents_FullMethodName:             &lettapb.ListAgentsRequest{},
		lettapb.AgentService_SearchMessages_FullMethodName:         &lettapb.SearchMessagesRequest{},
		lettapb.AgentService_GetContext_FullMethodName:             &lettapb.GetContextRequest{},
		lettapb.AgentService_CaptureMessages_FullMethodName:        &lettapb.CaptureMessagesRequest{RequestId: "1"},
		lettapb.ConversationService_GetConversation_FullMethodName: &lettapb.GetConversationRequest{},
	} {
		if !repeatable(method, request) {
			t.Errorf("%s may be repeated", method)
		}
	}
	for method, request := range map[string]any{
		lettapb.RunService_ExecuteRun_FullMethodName:      &lettapb.ExecuteRunRequest{},
		lettapb.AgentService_CreateAgent_FullMethodName:   &lettapb.CreateAgentRequest{},
		lettapb.AgentService_DeleteAgent_FullMethodName:   &lettapb.DeleteAgentRequest{},
		lettapb.AgentService_ResetMessages_FullMethodName: &lettapb.ResetMessagesRequest{},
		lettapb.ToolService_RunTool_FullMethodName:        &lettapb.RunToolRequest{},
	} {
		if repeatable(method, request) {
			t.Errorf("%s must not be repeated", method)
		}
	}
}

func TestTheKeyTravelsWithAndWithoutTLS(t *testing.T) {
	leavesNoGoroutine(t)
	// For its certificate, which is one for 127.0.0.1.
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	secured := grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0]))
	for name, way := range map[string]struct {
		server []grpc.ServerOption
		client []Option
	}{
		"plain text": {},
		"TLS":        {[]grpc.ServerOption{secured}, []Option{WithTLS(&tls.Config{RootCAs: roots})}},
	} {
		t.Run(name, func(t *testing.T) {
			server := &playing{get: func(ctx context.Context, _ int32) (*lettapb.Run, error) {
				headers, _ := metadata.FromIncomingContext(ctx)
				return &lettapb.Run{Id: headers.Get("authorization")[0]}, nil
			}}
			target := listen(t, server, way.server...)
			client, err := NewClient(target, append(way.client, WithAPIKey("sesame"))...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			answer, err := client.Runs.GetRun(t.Context(), &lettapb.GetRunRequest{})
			if answer.GetRun().GetId() != "Bearer sesame" || err != nil {
				t.Errorf("%v, %v", answer, err)
			}
		})
	}
}

func TestTheKeyTravelsWithoutTheLineEndOfItsFile(t *testing.T) {
	server := &playing{get: func(ctx context.Context, _ int32) (*lettapb.Run, error) {
		headers, _ := metadata.FromIncomingContext(ctx)
		return &lettapb.Run{Id: headers.Get("authorization")[0]}, nil
	}}
	answer, err := serve(t, server, WithAPIKey("sesame\n")).Runs.GetRun(bounded(t), &lettapb.GetRunRequest{})
	if answer.GetRun().GetId() != "Bearer sesame" || err != nil {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestAKeyThatNoHeaderTakesIsRefusedAtOnceAndNotTold(t *testing.T) {
	for _, key := range []string{"new\nline", "schlüssel"} {
		_, err := NewClient("127.0.0.1:1", WithAPIKey(key))
		if status.Code(err) != codes.InvalidArgument || strings.Contains(err.Error(), key) {
			t.Errorf("%v", err)
		}
	}
}

func listen(t *testing.T, server *playing, options ...grpc.ServerOption) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpcServer := grpc.NewServer(options...)
	lettapb.RegisterRunServiceServer(grpcServer, server)
	go func() { _ = grpcServer.Serve(listener) }()
	t.Cleanup(grpcServer.Stop)
	return listener.Addr().String()
}
