package lettagrpc

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
)

// quick is as patient as by default, and quicker.
var quick = RetryPolicy{Initial: time.Millisecond, Maximum: 5 * time.Millisecond, Multiplier: 2, StreamAttempts: 12, CallAttempts: 4}

// playing is a server that does what a test says.
type playing struct {
	lettapb.UnimplementedRunServiceServer
	lettapb.UnimplementedAgentServiceServer

	stream func(call int32, request *lettapb.StreamRunRequest, send grpc.ServerStreamingServer[lettapb.StreamRunResponse]) error
	attach func(call int32, request *lettapb.AttachRunRequest, send grpc.ServerStreamingServer[lettapb.AttachRunResponse]) error
	create func(call int32) error
	get    func(ctx context.Context, call int32) (*lettapb.Run, error)

	streams, attaches, creates, gets, cancels atomic.Int32
}

func (p *playing) StreamRun(request *lettapb.StreamRunRequest, send grpc.ServerStreamingServer[lettapb.StreamRunResponse]) error {
	return p.stream(p.streams.Add(1), request, send)
}

func (p *playing) AttachRun(request *lettapb.AttachRunRequest, send grpc.ServerStreamingServer[lettapb.AttachRunResponse]) error {
	return p.attach(p.attaches.Add(1), request, send)
}

func (p *playing) CreateAgent(context.Context, *lettapb.CreateAgentRequest) (*lettapb.CreateAgentResponse, error) {
	return &lettapb.CreateAgentResponse{}, p.create(p.creates.Add(1))
}

func (p *playing) GetRun(ctx context.Context, _ *lettapb.GetRunRequest) (*lettapb.GetRunResponse, error) {
	run, err := p.get(ctx, p.gets.Add(1))
	return &lettapb.GetRunResponse{Run: run}, err
}

func (p *playing) CancelRun(_ context.Context, request *lettapb.CancelRunRequest) (*lettapb.CancelRunResponse, error) {
	p.cancels.Add(1)
	return &lettapb.CancelRunResponse{Run: &lettapb.Run{Id: request.GetRunId()}}, nil
}

// serve starts a server in this process and returns a client of it; both end with the test, and leave no goroutine behind.
func serve(t *testing.T, server *playing, options ...Option) *Client {
	t.Helper()
	leavesNoGoroutine(t)
	listener := bufconn.Listen(1 << 16)
	grpcServer := grpc.NewServer()
	lettapb.RegisterRunServiceServer(grpcServer, server)
	lettapb.RegisterAgentServiceServer(grpcServer, server)
	go func() { _ = grpcServer.Serve(listener) }()
	t.Cleanup(grpcServer.Stop)
	dialer := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) })
	client, err := NewClient("passthrough:///test", append([]Option{WithRetry(quick), WithDialOptions(dialer)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// leavesNoGoroutine fails the test if more goroutines are there at its end than now.
func leavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 500 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		stacks := make([]byte, 1<<16)
		t.Errorf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
	})
}

// leavesNoCall waits until a server's handlers have returned.
func leavesNoCall(t *testing.T, handlers *atomic.Int32) {
	t.Helper()
	for range 500 {
		if handlers.Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a call is still open")
}

func accept(send grpc.ServerStream) error {
	return send.SendHeader(metadata.Pairs(runIDKey, "run-1"))
}

func event(number int32, payload any) *lettapb.RunEvent {
	event := &lettapb.RunEvent{SequenceNumber: number}
	switch payload := payload.(type) {
	case *lettapb.TextDelta:
		event.Payload = &lettapb.RunEvent_TextDelta{TextDelta: payload}
	case *lettapb.Heartbeat:
		event.Payload = &lettapb.RunEvent_Heartbeat{Heartbeat: payload}
	case *lettapb.Message:
		event.Payload = &lettapb.RunEvent_MessageCompleted{MessageCompleted: &lettapb.MessageCompleted{Message: payload}}
	case lettapb.RunState:
		run := &lettapb.Run{Id: "run-1", State: payload}
		event.Payload = &lettapb.RunEvent_RunFinished{RunFinished: &lettapb.RunFinished{Run: run}}
	}
	return event
}

func delta(number int32, text string) *lettapb.RunEvent {
	return event(number, &lettapb.TextDelta{MessageId: "message-1", Text: text})
}

func said(id, text string) *lettapb.Message {
	part := &lettapb.ContentPart{Kind: &lettapb.ContentPart_Text{Text: text}}
	return &lettapb.Message{Id: id, Role: lettapb.Role_ROLE_ASSISTANT, Content: []*lettapb.ContentPart{part}}
}

const (
	completed = lettapb.RunState_RUN_STATE_COMPLETED
	failed    = lettapb.RunState_RUN_STATE_FAILED
)

func sent(events ...*lettapb.RunEvent) *lettapb.StreamRunResponse {
	return &lettapb.StreamRunResponse{RunId: "run-1", Events: events}
}
