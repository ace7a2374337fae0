package lettagrpc

import "github.com/letta-grpc/letta-grpc-go/lettapb"

// cursor is a reader's place in a run's log. It lets each event through once, in order.
//
// Rule: an event passes only if its number follows the last one. With a filter numbers may jump, so there only their order is
// checked. A heartbeat never passes; what it says has been delivered must have been.
type cursor struct {
	position int32
	finished bool
	filtered bool
}

// accept returns what is new of some events: all, or with an error those before the first gap.
func (c *cursor) accept(events []*lettapb.RunEvent) ([]*lettapb.RunEvent, *Error) {
	var fresh []*lettapb.RunEvent
	for _, event := range events {
		number := event.GetSequenceNumber()
		if event.GetHeartbeat() != nil {
			if number > c.position && !c.filtered {
				return fresh, c.gap(number)
			}
			c.position = max(c.position, number)
			continue
		}
		if number <= c.position {
			continue
		}
		if number > c.position+1 && !c.filtered {
			return fresh, c.gap(number)
		}
		c.position = number
		c.finished = event.GetRunFinished() != nil
		fresh = append(fresh, event)
	}
	return fresh, nil
}

func (c *cursor) gap(number int32) *Error {
	return broken("the stream jumped from event %d to %d", c.position, number)
}
