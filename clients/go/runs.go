package lettagrpc

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	defaultHeartbeat = 15 * time.Second
	silentIntervals  = 3
)

// RunOption changes how a run is started. What has no function of its own is set on the request itself:
//
//	lettagrpc.WithRequest(func(r *lettapb.StreamRunRequest) { r.Run.MaxSteps = proto.Int32(3) })
type RunOption interface {
	applyTo(request *lettapb.StreamRunRequest)
}

// ViewOption changes what one reader is sent, and never the run. It is a RunOption too.
type ViewOption func(*lettapb.StreamOptions)

type requestOption func(*lettapb.StreamRunRequest)

func (option requestOption) applyTo(request *lettapb.StreamRunRequest) { option(request) }

func (option ViewOption) applyTo(request *lettapb.StreamRunRequest) { option(request.Options) }

// WithRequest changes the request as a whole.
func WithRequest(change func(*lettapb.StreamRunRequest)) RunOption { return requestOption(change) }

// InConversation names the conversation; without it, it is the agent's default one.
func InConversation(id string) RunOption {
	return requestOption(func(r *lettapb.StreamRunRequest) { r.ConversationId = id })
}

// WithRequestID names the start by a UUID: the same start with the same id gives the same run, whoever repeats it, and when.
func WithRequestID(id string) RunOption {
	return requestOption(func(r *lettapb.StreamRunRequest) { r.RequestId = id })
}

// OnConflict says what happens when the conversation is busy. By default the start is refused.
func OnConflict(policy lettapb.ConflictPolicy) RunOption {
	return requestOption(func(r *lettapb.StreamRunRequest) { r.Run.ConflictPolicy = policy })
}

// WithClientTools declares tools that the caller runs: the run ends INTERRUPTED when the model calls one. See Client.Answer.
func WithClientTools(tools ...*lettapb.ClientTool) RunOption {
	return requestOption(func(r *lettapb.StreamRunRequest) { r.Run.ClientTools = append(r.Run.ClientTools, tools...) })
}

// WithHeartbeat changes the longest silence before a heartbeat (15 s; from 1 s to 10 min). Three times as long without a word is
// a broken connection. 0 turns heartbeats off, and with them the watch over silence.
func WithHeartbeat(interval time.Duration) ViewOption {
	return func(o *lettapb.StreamOptions) { o.HeartbeatInterval = durationpb.New(interval) }
}

// WithoutDeltas leaves out text, reasoning and tool call deltas: messages come whole.
func WithoutDeltas() ViewOption {
	return func(o *lettapb.StreamOptions) { o.OmitDeltas = true }
}

// WithEvents sends these kinds alone, and run_started, step_restarted, approval_request and run_finished.
func WithEvents(kinds ...lettapb.EventKind) ViewOption {
	return func(o *lettapb.StreamOptions) { o.EventKinds = append(o.EventKinds, kinds...) }
}

// Say is a text as a person's message.
func Say(text string) *lettapb.InputMessage {
	user := &lettapb.UserInput{Body: &lettapb.UserInput_Text{Text: text}}
	return &lettapb.InputMessage{Kind: &lettapb.InputMessage_User{User: user}}
}

// Stream returns the stream of a new run that answers a text. The run starts when the stream is first read; ctx holds for the
// following, not for the run. Broken connections are no danger from the first moment on: a start that is repeated has the same
// request id.
func (c *Client) Stream(ctx context.Context, agentID, text string, options ...RunOption) *Stream {
	return c.StreamMessages(ctx, agentID, []*lettapb.InputMessage{Say(text)}, options...)
}

// StreamMessages is Stream with input of any kind.
func (c *Client) StreamMessages(ctx context.Context, agentID string, messages []*lettapb.InputMessage, options ...RunOption) *Stream {
	request := &lettapb.StreamRunRequest{
		AgentId: agentID,
		Run:     &lettapb.RunSpec{Messages: messages},
		Options: &lettapb.StreamOptions{},
	}
	for _, option := range options {
		option.applyTo(request)
	}
	if request.RequestId == "" {
		request.RequestId = newUUID()
	}
	stream := newStream(ctx, c, request.Options, 0)
	stream.start = proto.CloneOf(request)
	return stream
}

// Attach returns the stream of a run that there is, from behind a number on; 0 is the beginning.
func (c *Client) Attach(ctx context.Context, runID string, after int32, options ...ViewOption) *Stream {
	view := &lettapb.StreamOptions{}
	for _, option := range options {
		option(view)
	}
	stream := newStream(ctx, c, view, after)
	stream.accept(runID)
	return stream
}

// silenceLimit returns how long without a word means that a stream is dead; 0 where no heartbeats were asked for.
func silenceLimit(view *lettapb.StreamOptions) time.Duration {
	if view.GetHeartbeatInterval() == nil {
		return silentIntervals * defaultHeartbeat
	}
	return silentIntervals * view.GetHeartbeatInterval().AsDuration()
}

func newUUID() string {
	var b [16]byte
	// It never fails: without randomness the program ends.
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
