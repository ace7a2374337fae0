package lettagrpc

import (
	"context"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/protobuf/proto"
)

// Answer is an answer to a tool call that waits.
type Answer struct {
	decision *lettapb.Decision
	returned *lettapb.ToolReturn
}

// Approve lets a call run, as the model wrote it.
func Approve(callID string) Answer {
	return approve(callID, &lettapb.Approve{})
}

// ApproveWith lets a call run with other arguments, which are JSON.
func ApproveWith(callID, arguments string) Answer {
	return approve(callID, &lettapb.Approve{Arguments: proto.String(arguments)})
}

func approve(callID string, approval *lettapb.Approve) Answer {
	return Answer{decision: &lettapb.Decision{ToolCallId: callID, Kind: &lettapb.Decision_Approve{Approve: approval}}}
}

// Deny does not let a call run; the model is told why.
func Deny(callID, reason string) Answer {
	denial := &lettapb.Decision_Deny{Deny: &lettapb.Deny{Reason: reason}}
	return Answer{decision: &lettapb.Decision{ToolCallId: callID, Kind: denial}}
}

// Return says what a tool gave that the caller ran.
func Return(callID, text string) Answer {
	return returned(callID, text, lettapb.ToolReturnStatus_TOOL_RETURN_STATUS_SUCCESS)
}

// ReturnError says why a tool failed that the caller ran.
func ReturnError(callID, text string) Answer {
	return returned(callID, text, lettapb.ToolReturnStatus_TOOL_RETURN_STATUS_ERROR)
}

func returned(callID, text string, status lettapb.ToolReturnStatus) Answer {
	return Answer{returned: &lettapb.ToolReturn{ToolCallId: callID, Status: status, Body: &lettapb.ToolReturn_Text{Text: text}}}
}

// Answer returns the stream of the run that answers the waiting calls of another: those of its PendingActions.
//
// Tools, model, system prompt and response format are those of the run that waits, unless others are given. Calls without an
// answer go on waiting: then the new run ends at once, INTERRUPTED again.
func (c *Client) Answer(ctx context.Context, run *lettapb.Run, answers []Answer, options ...RunOption) *Stream {
	options = append([]RunOption{InConversation(run.GetConversationId())}, options...)
	return c.StreamMessages(ctx, run.GetAgentId(), answerMessages(answers), options...)
}

// answerMessages returns answers as input: the decisions, then the returns, each in the order given.
func answerMessages(answers []Answer) []*lettapb.InputMessage {
	var decisions []*lettapb.Decision
	var returns []*lettapb.ToolReturn
	for _, answer := range answers {
		if answer.decision != nil {
			decisions = append(decisions, answer.decision)
		}
		if answer.returned != nil {
			returns = append(returns, answer.returned)
		}
	}
	var messages []*lettapb.InputMessage
	if len(decisions) > 0 {
		input := &lettapb.InputMessage_Approval{Approval: &lettapb.ApprovalInput{Decisions: decisions}}
		messages = append(messages, &lettapb.InputMessage{Kind: input})
	}
	if len(returns) > 0 {
		input := &lettapb.InputMessage_ToolReturns{ToolReturns: &lettapb.ToolReturnsInput{Returns: returns}}
		messages = append(messages, &lettapb.InputMessage{Kind: input})
	}
	return messages
}
