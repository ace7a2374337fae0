package lettagrpc

import (
	"maps"
	"slices"
	"strings"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
)

// Accumulator folds events, each given once and in order, into messages. Its zero value is empty.
//
// A completed message replaces its deltas; a restarted step takes back what its void messages had said.
type Accumulator struct {
	run     *lettapb.Run
	asked   []*lettapb.PendingAction
	order   []string
	done    map[string]*lettapb.Message
	drafts  map[string]*draft
	returns map[string]*lettapb.ToolReturn
	output  map[string]*written
}

// ToolOutput is what a tool has written up to now.
type ToolOutput struct{ Stdout, Stderr string }

// written is what a tool has written, as it grows.
type written struct{ stdout, stderr strings.Builder }

// draft is a message that is still being written: the sum of its deltas.
//
// They go into builders: strings are copied whole with every delta, which takes minutes for a text of 1 MiB.
type draft struct {
	role      lettapb.Role
	reasoning strings.Builder
	texts     map[int32]*strings.Builder
	calls     map[int32]*draftCall
}

// draftCall is a tool call whose arguments are still coming.
type draftCall struct {
	id, name  string
	arguments strings.Builder
}

// Run is the run as the newest event tells of it; nil before the first.
func (a *Accumulator) Run() *lettapb.Run { return a.run }

// Messages are the completed messages, in order.
func (a *Accumulator) Messages() []*lettapb.Message {
	var messages []*lettapb.Message
	for _, id := range a.order {
		if message := a.done[id]; message != nil {
			messages = append(messages, message)
		}
	}
	return messages
}

// Drafts are the messages that are being written, as far as they have come.
func (a *Accumulator) Drafts() []*lettapb.Message {
	var messages []*lettapb.Message
	for _, id := range a.order {
		if draft := a.drafts[id]; draft != nil {
			messages = append(messages, draft.message(id))
		}
	}
	return messages
}

// Text is the texts of the completed assistant messages that have any, in order, with a blank line between them.
func (a *Accumulator) Text() string {
	var texts []string
	for _, message := range a.Messages() {
		if text := TextOf(message); text != "" && message.GetRole() == lettapb.Role_ROLE_ASSISTANT {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n\n")
}

// PendingActions are the calls for whose answers the run ended, or is about to end.
func (a *Accumulator) PendingActions() []*lettapb.PendingAction {
	if len(a.asked) > 0 {
		return a.asked
	}
	return a.run.GetPendingActions()
}

// ToolReturns are what tools have returned, by call.
func (a *Accumulator) ToolReturns() map[string]*lettapb.ToolReturn { return maps.Clone(a.returns) }

// ToolOutput is what the tool of a call has written. One that another server runs once more begins with nothing.
func (a *Accumulator) ToolOutput(callID string) ToolOutput {
	output := a.output[callID]
	if output == nil {
		return ToolOutput{}
	}
	return ToolOutput{Stdout: output.stdout.String(), Stderr: output.stderr.String()}
}

// Add folds the next event in. Kinds without a meaning for messages, unknown ones too, change nothing.
func (a *Accumulator) Add(event *lettapb.RunEvent) {
	switch payload := event.GetPayload().(type) {
	case *lettapb.RunEvent_MessageStarted:
		a.draft(payload.MessageStarted.GetMessageId()).role = payload.MessageStarted.GetRole()
	case *lettapb.RunEvent_TextDelta:
		delta := payload.TextDelta
		a.draft(delta.GetMessageId()).text(delta.GetContentIndex()).WriteString(delta.GetText())
	case *lettapb.RunEvent_ReasoningDelta:
		a.draft(payload.ReasoningDelta.GetMessageId()).reasoning.WriteString(payload.ReasoningDelta.GetText())
	case *lettapb.RunEvent_ToolCallDelta:
		a.draft(payload.ToolCallDelta.GetMessageId()).add(payload.ToolCallDelta)
	case *lettapb.RunEvent_MessageCompleted:
		a.complete(payload.MessageCompleted.GetMessage())
	case *lettapb.RunEvent_StepRestarted:
		a.void(payload.StepRestarted.GetVoidMessageIds())
	case *lettapb.RunEvent_ToolExecutionStarted:
		a.output = with(a.output, payload.ToolExecutionStarted.GetToolCallId(), &written{})
	case *lettapb.RunEvent_ToolOutputDelta:
		a.append(payload.ToolOutputDelta)
	case *lettapb.RunEvent_ToolReturn:
		a.returns = with(a.returns, payload.ToolReturn.GetToolCallId(), payload.ToolReturn)
	case *lettapb.RunEvent_ApprovalRequest:
		a.asked = payload.ApprovalRequest.GetActions()
	case *lettapb.RunEvent_RunStarted:
		a.run, a.asked = payload.RunStarted.GetRun(), nil
	case *lettapb.RunEvent_RunFinished:
		a.run = payload.RunFinished.GetRun()
	}
}

// draft returns the draft of a message, which has its place from its first sign of life on.
func (a *Accumulator) draft(id string) *draft {
	if found := a.drafts[id]; found != nil {
		return found
	}
	started := &draft{role: lettapb.Role_ROLE_ASSISTANT, texts: map[int32]*strings.Builder{}, calls: map[int32]*draftCall{}}
	if a.done[id] == nil {
		a.order = append(a.order, id)
		a.drafts = with(a.drafts, id, started)
	}
	// A delta behind its completed message has nothing to add.
	return started
}

func (a *Accumulator) complete(message *lettapb.Message) {
	if a.drafts[message.GetId()] == nil && a.done[message.GetId()] == nil {
		a.order = append(a.order, message.GetId())
	}
	delete(a.drafts, message.GetId())
	a.done = with(a.done, message.GetId(), message)
}

func (a *Accumulator) void(ids []string) {
	for _, id := range ids {
		delete(a.drafts, id)
		delete(a.done, id)
	}
	a.order = slices.DeleteFunc(a.order, func(id string) bool { return slices.Contains(ids, id) })
}

func (a *Accumulator) append(delta *lettapb.ToolOutputDelta) {
	output := a.output[delta.GetToolCallId()]
	if output == nil {
		output = &written{}
		a.output = with(a.output, delta.GetToolCallId(), output)
	}
	if delta.GetStream() == lettapb.OutputStream_OUTPUT_STREAM_STDERR {
		output.stderr.WriteString(delta.GetText())
	} else {
		output.stdout.WriteString(delta.GetText())
	}
}

func (d *draft) text(index int32) *strings.Builder {
	if d.texts[index] == nil {
		d.texts[index] = &strings.Builder{}
	}
	return d.texts[index]
}

func (d *draft) add(delta *lettapb.ToolCallDelta) {
	call := d.calls[delta.GetCallIndex()]
	if call == nil {
		call = &draftCall{id: delta.GetToolCallId(), name: delta.GetName()}
		d.calls[delta.GetCallIndex()] = call
	}
	call.arguments.WriteString(delta.GetArguments())
}

func (d *draft) message(id string) *lettapb.Message {
	message := &lettapb.Message{Id: id, Role: d.role}
	if d.reasoning.Len() > 0 {
		part := &lettapb.ContentPart{Kind: &lettapb.ContentPart_Reasoning{Reasoning: d.reasoning.String()}}
		message.Content = append(message.Content, part)
	}
	for _, index := range slices.Sorted(maps.Keys(d.texts)) {
		part := &lettapb.ContentPart{Kind: &lettapb.ContentPart_Text{Text: d.texts[index].String()}}
		message.Content = append(message.Content, part)
	}
	for _, index := range slices.Sorted(maps.Keys(d.calls)) {
		call := d.calls[index]
		message.ToolCalls = append(message.ToolCalls, &lettapb.ToolCall{Id: call.id, Name: call.name, Arguments: call.arguments.String()})
	}
	return message
}

// TextOf is a message's plain text, without its reasoning.
func TextOf(message *lettapb.Message) string {
	var text strings.Builder
	for _, part := range message.GetContent() {
		text.WriteString(part.GetText())
	}
	return text.String()
}

// with sets a key of a map that may not be there yet.
func with[Value any](values map[string]Value, key string, value Value) map[string]Value {
	if values == nil {
		values = map[string]Value{}
	}
	values[key] = value
	return values
}
