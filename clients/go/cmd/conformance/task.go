package main

import (
	"strings"
	"time"

	lettagrpc "github.com/letta-grpc/letta-grpc-go"
	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/genproto/googleapis/rpc/code"
)

type task struct {
	Case             string  `json:"case"`
	Do               string  `json:"do"`
	Text             string  `json:"text"`
	HeartbeatSeconds float64 `json:"heartbeat_seconds"`
	OmitDeltas       bool    `json:"omit_deltas"`
	RunID            string  `json:"run_id"`
	After            int32   `json:"after"`
	Patient          bool    `json:"patient"`
}

type result struct {
	Events  []int32  `json:"events"`
	Text    string   `json:"text"`
	State   *string  `json:"state"`
	Error   *failure `json:"error"`
	Pending []string `json:"pending"`

	run *lettapb.Run
}

type failure struct {
	Code     string            `json:"code"`
	Reason   string            `json:"reason"`
	Metadata map[string]string `json:"metadata"`
	Fields   map[string]string `json:"fields"`
}

func (t task) view() lettagrpc.ViewOption {
	return func(options *lettapb.StreamOptions) {
		lettagrpc.WithHeartbeat(time.Duration(t.HeartbeatSeconds * float64(time.Second)))(options)
		options.OmitDeltas = t.OmitDeltas
	}
}

func (t task) answers() bool {
	return t.answer([]string{""}) != nil
}

// answer answers every call as the task wants it; none where it wants nothing.
func (t task) answer(calls []string) []lettagrpc.Answer {
	var answers []lettagrpc.Answer
	for _, call := range calls {
		switch t.Do {
		case "approve":
			answers = append(answers, lettagrpc.Approve(call))
		case "edit":
			answers = append(answers, lettagrpc.ApproveWith(call, `{"to": "Bob"}`))
		case "deny":
			answers = append(answers, lettagrpc.Deny(call, "not today"))
		case "return":
			answers = append(answers, lettagrpc.Return(call, "sunny"))
		}
	}
	return answers
}

func stateOf(run *lettapb.Run) *string {
	state := strings.TrimPrefix(run.GetState().String(), "RUN_STATE_")
	return &state
}

func errorOfRun(run *lettapb.Run) *failure {
	if run.GetError() == nil {
		return nil
	}
	metadata := run.GetError().GetMetadata()
	if metadata == nil {
		metadata = map[string]string{}
	}
	return &failure{Reason: run.GetError().GetReason(), Metadata: metadata, Fields: map[string]string{}}
}

func errorOfCall(err *lettagrpc.Error) *failure {
	name := code.Code_name[int32(err.Code)]
	return &failure{Code: name, Reason: string(err.Reason), Metadata: err.Metadata, Fields: err.Fields}
}
