package lettagrpc

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// How long the status may take to come behind the run's last event.
const farewell = 5 * time.Second

// advance takes one step: wait after a failure, dial, or read one response.
func (s *Stream) advance() error {
	if failure := s.failure; failure != nil {
		s.failure = nil
		return s.recover(failure)
	}
	if err := s.step(); err != nil {
		s.hangUp()
		s.failure = errorFrom(err)
		// The time of one call may be over; the stream's is not, until its context says so.
		s.failure.cause = nil
	}
	return nil
}

func (s *Stream) recover(failure *Error) error {
	if s.ended || s.ctx.Err() != nil {
		return nil
	}
	if s.client.closed() {
		return closedError()
	}
	s.tries.limit = s.client.retry.StreamAttempts
	if s.RunID() == "" {
		// Until the run is accepted the caller waits for an answer, not for a stream.
		s.tries.limit = s.client.retry.CallAttempts
	}
	wait, again := s.tries.after(failure)
	if !again {
		return failure
	}
	// When the context ends the wait, the next step says so. On a client that is being closed nothing is to begin: its
	// connection may be open for a moment yet.
	if err := s.client.sleep(s.ctx, wait); errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

func (s *Stream) step() error {
	if s.call == nil {
		return s.dial()
	}
	if s.cursor.finished {
		// Hanging up on a call that is about to end would look like a lost reader to the server.
		_, _ = s.call.next(farewell)
		s.hangUp()
		return nil
	}
	return s.read()
}

func (s *Stream) dial() (err error) {
	if s.start != nil && s.RunID() == "" {
		// Repeating it is safe: the request id makes the server answer with the same run.
		s.call, err = follow(s.ctx, func(ctx context.Context) (grpc.ServerStreamingClient[lettapb.StreamRunResponse], error) {
			return s.client.Runs.StreamRun(ctx, s.start)
		}, func(message *lettapb.StreamRunResponse) response { return message })
	} else {
		request := &lettapb.AttachRunRequest{RunId: s.RunID(), AfterSequenceNumber: s.cursor.position, Options: s.view}
		s.call, err = follow(s.ctx, func(ctx context.Context) (grpc.ServerStreamingClient[lettapb.AttachRunResponse], error) {
			return s.client.Runs.AttachRun(ctx, request)
		}, func(message *lettapb.AttachRunResponse) response { return message })
	}
	if err != nil {
		return err
	}
	// No heartbeat is due before the server has the call, and a connection may have to be made.
	s.accept(s.call.runID(s.client.timeout))
	return nil
}

func (s *Stream) read() error {
	message, err := s.call.next(s.silence)
	if errors.Is(err, io.EOF) {
		return s.verifyEnd()
	}
	if err != nil {
		return err
	}
	s.accept(message.GetRunId())
	fresh, gap := s.cursor.accept(message.GetEvents())
	if len(fresh) > 0 || hasHeartbeat(message.GetEvents()) {
		s.tries.reset()
	}
	s.waiting = append(s.waiting, fresh...)
	if gap != nil {
		return gap
	}
	return nil
}

// verifyEnd asks for the run: OK without `run_finished` is right behind the last event of a finished run, and nowhere else.
func (s *Stream) verifyEnd() error {
	if s.RunID() == "" {
		return broken("the stream ended before the run was accepted")
	}
	answer, err := s.client.Runs.GetRun(s.ctx, &lettapb.GetRunRequest{RunId: s.RunID()})
	if err != nil {
		return err
	}
	run := answer.GetRun()
	if !isFinal(run) || run.GetLastSequenceNumber() > s.cursor.position {
		return broken("the stream ended after event %d, before the run did", s.cursor.position)
	}
	s.accumulator.run = proto.CloneOf(run)
	s.ended = true
	return nil
}

func (s *Stream) accept(runID string) {
	if runID != "" && s.runID.CompareAndSwap(nil, &runID) {
		close(s.accepted)
	}
}

func (s *Stream) hangUp() {
	// Behind the run's last event nothing is worth another call, however this one went.
	s.ended = s.ended || s.cursor.finished
	if s.call != nil {
		s.call.close()
		s.call = nil
	}
}

func hasHeartbeat(events []*lettapb.RunEvent) bool {
	// It comes alone or last.
	return len(events) > 0 && events[len(events)-1].GetHeartbeat() != nil
}

func isFinal(run *lettapb.Run) bool {
	switch run.GetState() {
	case lettapb.RunState_RUN_STATE_COMPLETED, lettapb.RunState_RUN_STATE_INTERRUPTED,
		lettapb.RunState_RUN_STATE_FAILED, lettapb.RunState_RUN_STATE_CANCELLED:
		return true
	default:
		return false
	}
}
