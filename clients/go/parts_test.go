package lettagrpc

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestTheCursorLetsEachEventThroughOnce(t *testing.T) {
	for name, test := range map[string]struct {
		cursor cursor
		events []*lettapb.RunEvent
		passed []int32
		gap    bool
	}{
		"in order":                {cursor{}, []*lettapb.RunEvent{delta(1, ""), delta(2, "")}, []int32{1, 2}, false},
		"what was there":          {cursor{position: 1}, []*lettapb.RunEvent{delta(1, ""), delta(2, "")}, []int32{2}, false},
		"up to a gap":             {cursor{}, []*lettapb.RunEvent{delta(1, ""), delta(3, "")}, []int32{1}, true},
		"with a filter":           {cursor{filtered: true}, []*lettapb.RunEvent{delta(2, ""), delta(5, "")}, []int32{2, 5}, false},
		"no heartbeat":            {cursor{position: 1}, []*lettapb.RunEvent{event(1, &lettapb.Heartbeat{})}, nil, false},
		"a heartbeat that knows":  {cursor{}, []*lettapb.RunEvent{delta(1, ""), event(2, &lettapb.Heartbeat{})}, []int32{1}, true},
		"a heartbeat of a filter": {cursor{filtered: true}, []*lettapb.RunEvent{event(7, &lettapb.Heartbeat{}), delta(7, "")}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			fresh, gap := test.cursor.accept(test.events)
			var passed []int32
			for _, event := range fresh {
				passed = append(passed, event.GetSequenceNumber())
			}
			if !slices.Equal(passed, test.passed) || (gap != nil) != test.gap {
				t.Errorf("%v passed, then %v", passed, gap)
			}
		})
	}
}

func TestARestartedStepTakesBackWhatItHadSaid(t *testing.T) {
	var soFar Accumulator
	soFar.Add(event(1, said("message-0", "First.")))
	soFar.Add(delta(2, "Good mor"))
	if drafts := soFar.Drafts(); len(drafts) != 1 || TextOf(drafts[0]) != "Good mor" {
		t.Errorf("drafts %v", drafts)
	}
	void := &lettapb.StepRestarted{VoidMessageIds: []string{"message-1"}}
	soFar.Add(&lettapb.RunEvent{SequenceNumber: 3, Payload: &lettapb.RunEvent_StepRestarted{StepRestarted: void}})
	if drafts := soFar.Drafts(); len(drafts) != 0 {
		t.Errorf("drafts %v", drafts)
	}
	soFar.Add(event(4, said("message-2", "Good evening.")))
	if text := soFar.Text(); text != "First.\n\nGood evening." {
		t.Errorf("text %q", text)
	}
}

func TestADraftHasItsCallsAndTheirArguments(t *testing.T) {
	var soFar Accumulator
	for _, piece := range []string{`{"to": `, `"Bob"}`} {
		call := &lettapb.ToolCallDelta{MessageId: "message-1", ToolCallId: "call-1", Name: "write", Arguments: piece}
		soFar.Add(&lettapb.RunEvent{Payload: &lettapb.RunEvent_ToolCallDelta{ToolCallDelta: call}})
	}
	calls := soFar.Drafts()[0].GetToolCalls()
	if len(calls) != 1 || calls[0].GetName() != "write" || calls[0].GetArguments() != `{"to": "Bob"}` {
		t.Errorf("calls %v", calls)
	}
}

func TestAToolsOutputIsKeptByStream(t *testing.T) {
	var soFar Accumulator
	for _, stream := range []lettapb.OutputStream{lettapb.OutputStream_OUTPUT_STREAM_STDOUT, lettapb.OutputStream_OUTPUT_STREAM_STDERR} {
		output := &lettapb.ToolOutputDelta{ToolCallId: "call-1", Stream: stream, Text: stream.String()}
		soFar.Add(&lettapb.RunEvent{Payload: &lettapb.RunEvent_ToolOutputDelta{ToolOutputDelta: output}})
	}
	want := ToolOutput{Stdout: "OUTPUT_STREAM_STDOUT", Stderr: "OUTPUT_STREAM_STDERR"}
	if output := soFar.ToolOutput("call-1"); output != want {
		t.Errorf("output %v", output)
	}
}

func TestWaitsGrowUpToTheMaximumAndEndWithTheAttempts(t *testing.T) {
	tries := attempts{policy: DefaultRetry, limit: 12}
	failure := &Error{Code: codes.Unavailable}
	ceiling := DefaultRetry.Initial
	for range 11 {
		wait, again := tries.after(failure)
		if !again || wait < ceiling/2 || wait > ceiling {
			t.Fatalf("wait %s, not between the half of %s and the whole", wait, ceiling)
		}
		ceiling = min(2*ceiling, DefaultRetry.Maximum)
	}
	if _, again := tries.after(failure); again {
		t.Error("the twelfth failure is not the last")
	}
}

func TestByDefaultAStreamOutlastsAMinuteOfOutageAndAStartARestart(t *testing.T) {
	if waited := waits(DefaultRetry.StreamAttempts); waited < time.Minute {
		t.Errorf("a stream gives up after %s", waited)
	}
	if waited := waits(DefaultRetry.CallAttempts); waited < 10*time.Second || waited > 25*time.Second {
		t.Errorf("a call gives up after %s", waited)
	}
}

func waits(limit int) time.Duration {
	tries := attempts{policy: DefaultRetry, limit: limit}
	var sum time.Duration
	for {
		wait, again := tries.after(&Error{Code: codes.Unavailable})
		if !again {
			return sum
		}
		sum += wait
	}
}

func TestAWaitIsNeverShorterThanTheServerAsks(t *testing.T) {
	tries := attempts{policy: quick, limit: 12}
	if wait, again := tries.after(&Error{Code: codes.Unavailable, RetryDelay: time.Minute}); wait != time.Minute || !again {
		t.Errorf("wait %s", wait)
	}
}

func TestWhatAnotherTryMayHelp(t *testing.T) {
	for _, failure := range []*Error{
		{Code: codes.Unavailable, Reason: ServerDraining}, {Code: codes.Aborted}, {Code: codes.Aborted, Reason: StreamRecycled},
		{Code: codes.Internal}, {Code: codes.ResourceExhausted, Reason: TooManyStreams},
	} {
		if !failure.Retryable() {
			t.Errorf("%v is final", failure)
		}
	}
	for _, failure := range []*Error{
		{Code: codes.Aborted, Reason: ConversationBusy}, {Code: codes.Internal, Reason: Internal}, {Code: codes.NotFound},
		{Code: codes.ResourceExhausted, Reason: QueueFull}, {Code: codes.Canceled, cause: context.Canceled},
	} {
		if failure.Retryable() {
			t.Errorf("%v may pass", failure)
		}
	}
}

func TestAnErrorTellsWhatTheServerSaid(t *testing.T) {
	told, err := status.New(codes.InvalidArgument, "run.messages is empty").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID_REQUEST", Domain: "letta-grpc", Metadata: map[string]string{"field": "run.messages"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "run.messages", Description: "is empty"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)},
	)
	if err != nil {
		t.Fatal(err)
	}
	failure := errorFrom(told.Err())
	if !errors.Is(failure, InvalidRequest) || errors.Is(failure, ModelUnknown) || status.Code(failure) != codes.InvalidArgument {
		t.Errorf("%v", failure)
	}
	if failure.Fields["run.messages"] != "is empty" || failure.Metadata["field"] != "run.messages" || failure.RetryDelay != 3*time.Second {
		t.Errorf("%v %v %v", failure.Fields, failure.Metadata, failure.RetryDelay)
	}
	if failure.Error() != "run.messages is empty (INVALID_REQUEST)" {
		t.Errorf("%s", failure)
	}
}

func TestAnErrorSaysWhichThingItIsAboutUnlessItsMessageDoes(t *testing.T) {
	for _, test := range []struct {
		message  string
		metadata map[string]string
		told     string
	}{
		{
			"it is busy", map[string]string{"conversation_id": "conv-1", "active_run_id": "run-1"},
			"(WHY, active_run_id=run-1, conversation_id=conv-1)",
		},
		{"it has no such block", map[string]string{"label": "human", "agent_id": "agent-1"}, "(WHY, agent_id=agent-1, label=human)"},
		{"the name 'dice' is taken", map[string]string{"name": "dice"}, "(WHY)"},
		{"too many wait", map[string]string{"limit": "64", "run_id": ""}, "(WHY)"},
	} {
		called := &Error{Code: codes.Aborted, Reason: "WHY", Message: test.message, Metadata: test.metadata}
		if wanted := test.message + " " + test.told; called.Error() != wanted {
			t.Errorf("%q, not %q", called, wanted)
		}
		ran := &RunFailedError{&lettapb.Run{Error: &lettapb.RunError{Reason: "WHY", Message: test.message, Metadata: test.metadata}}}
		if wanted := "the run failed: " + test.message + " " + test.told; ran.Error() != wanted {
			t.Errorf("%q, not %q", ran, wanted)
		}
	}
}

func TestAnswersKeepTheirOrderAndDecisionsComeFirst(t *testing.T) {
	messages := answerMessages([]Answer{Return("call-1", "sunny"), Approve("call-2"), Deny("call-3", "too dear"), ReturnError("call-4", "no")})
	if len(messages) != 2 {
		t.Fatalf("%v", messages)
	}
	var calls []string
	for _, decision := range messages[0].GetApproval().GetDecisions() {
		calls = append(calls, decision.GetToolCallId())
	}
	for _, returned := range messages[1].GetToolReturns().GetReturns() {
		calls = append(calls, returned.GetToolCallId())
	}
	if !slices.Equal(calls, []string{"call-2", "call-3", "call-1", "call-4"}) {
		t.Errorf("%v", calls)
	}
}

func TestEveryReasonOfTheContractHasAName(t *testing.T) {
	known := []Reason{
		InvalidRequest, ModelUnknown, ToolSourceInvalid, CredentialsMissing, CredentialsInvalid, AgentNotFound, RunNotFound,
		ConversationNotFound, BlockNotFound, ToolNotFound, McpServerNotFound, PassageNotFound, StepNotFound, RequestIdReused, NameTaken,
		ConversationBusy, StreamRecycled, ResourceInUse, ConcurrentChange, ApprovalPending, ApprovalExpired,
		ApprovalAlreadyResolved, ToolSandboxUnavailable, EventsExpired, CursorAhead, TooManyStreams, QueueFull, MessageTooLarge,
		ServerDraining, StoreUnavailable, McpServerFailed, EmbeddingsFailed, Internal, ModelRateLimited, ModelOverloaded,
		ModelTimeout, ModelAuthFailed, ModelBadRequest, ContextWindowExceeded, InsufficientCredits, InvalidModelOutput,
		RunTimeout, RunLost,
	}
	for number, name := range lettapb.ErrorReason_name {
		reason := Reason(strings.TrimPrefix(name, "ERROR_REASON_"))
		if number != 0 && !slices.Contains(known, reason) {
			t.Errorf("%s has none", reason)
		}
	}
}

func TestALongMessageIsNotCopiedWithEachOfItsDeltas(t *testing.T) {
	text := &lettapb.TextDelta{MessageId: "message-1", Text: "word "}
	arguments := &lettapb.ToolCallDelta{MessageId: "message-1", ToolCallId: "call-1", Arguments: "word "}
	output := &lettapb.ToolOutputDelta{ToolCallId: "call-1", Text: "word "}
	for name, event := range map[string]*lettapb.RunEvent{
		"text":        {Payload: &lettapb.RunEvent_TextDelta{TextDelta: text}},
		"arguments":   {Payload: &lettapb.RunEvent_ToolCallDelta{ToolCallDelta: arguments}},
		"tool output": {Payload: &lettapb.RunEvent_ToolOutputDelta{ToolOutputDelta: output}},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var soFar Accumulator
			for range 10_000 {
				soFar.Add(event)
			}
			runtime.ReadMemStats(&after)
			if taken := after.TotalAlloc - before.TotalAlloc; taken > 10<<20 {
				t.Errorf("%d bytes were taken for 50,000", taken)
			}
		})
	}
}
