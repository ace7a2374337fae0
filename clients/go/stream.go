package lettagrpc

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/letta-grpc/letta-grpc-go/lettapb"
)

// Stream has the events of one run, each exactly once and in order.
//
// When the connection breaks, falls silent, or leaves something out, it attaches again behind the last event it has. It gives up
// on an error that no new try helps, or after the retry policy's attempts without progress; reading once more then goes on where
// it stopped.
//
// It works only while somebody reads. One goroutine may read; Cancel, Close and RunID may be called beside it. Close it when it
// is not read to its end: until then, or until its context ends, a call to the server stays open.
type Stream struct {
	client *Client
	ctx    context.Context
	stop   context.CancelCauseFunc
	start  *lettapb.StreamRunRequest
	view   *lettapb.StreamOptions

	runID       atomic.Pointer[string]
	accepted    chan struct{}
	silence     time.Duration
	tries       attempts
	cursor      cursor
	call        *followCall
	failure     *Error
	waiting     []*lettapb.RunEvent
	last        int32
	accumulator Accumulator
	ended       bool
}

func newStream(ctx context.Context, client *Client, view *lettapb.StreamOptions, after int32) *Stream {
	s := &Stream{
		client:   client,
		view:     view,
		silence:  silenceLimit(view),
		tries:    attempts{policy: client.retry},
		cursor:   cursor{position: after, filtered: view.GetOmitDeltas() || len(view.GetEventKinds()) > 0},
		last:     after,
		accepted: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancelCause(ctx)
	return s
}

// RunID is the run; empty until the server has accepted it.
func (s *Stream) RunID() string {
	if id := s.runID.Load(); id != nil {
		return *id
	}
	return ""
}

// LastSequenceNumber is the number of the last event handed on: Attach after it goes on from here, in another process too.
func (s *Stream) LastSequenceNumber() int32 { return s.last }

// SoFar is what the events handed on up to now add up to.
func (s *Stream) SoFar() *Accumulator { return &s.accumulator }

// Events yields the events that were not yielded before, until the run has finished. An error is the last thing it yields. The
// loop may be left and begun again.
func (s *Stream) Events() iter.Seq2[*lettapb.RunEvent, error] {
	return func(yield func(*lettapb.RunEvent, error) bool) {
		for {
			event, err := s.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// TextDeltas yields the text as it comes. Should a step be restarted, what it had said is said again.
func (s *Stream) TextDeltas() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for event, err := range s.Events() {
			delta := event.GetTextDelta()
			if (err != nil || delta != nil) && !yield(delta.GetText(), err) {
				return
			}
		}
	}
}

// Final reads to the end and returns the run as it ended, whatever its state.
func (s *Stream) Final() (*lettapb.Run, error) {
	for _, err := range s.Events() {
		if err != nil {
			return nil, err
		}
	}
	if run := s.accumulator.Run(); isFinal(run) {
		return run, nil
	}
	return nil, ErrClosed
}

// Text reads to the end and returns the texts of the completed assistant messages, with a blank line between them. Of a run that
// FAILED it is a [*RunFailedError]; what a cancelled run had said is returned.
func (s *Stream) Text() (string, error) {
	run, err := s.Final()
	if err != nil {
		return "", err
	}
	if run.GetState() == lettapb.RunState_RUN_STATE_FAILED {
		return "", &RunFailedError{Run: run}
	}
	return s.accumulator.Text(), nil
}

// Started waits until the server has accepted the run, and returns its id. It counts as reading.
func (s *Stream) Started() (string, error) {
	for s.RunID() == "" {
		if err := s.require(); err != nil {
			return "", err
		}
		if err := s.advance(); err != nil {
			return "", err
		}
	}
	return s.RunID(), nil
}

// Cancel asks the run to end, for everyone, and returns it as it is. The stream goes on until the run has ended. A run that the
// server has not accepted yet it waits for; somebody has to read meanwhile. An accepted one it cancels after Close too.
func (s *Stream) Cancel(ctx context.Context) (*lettapb.Run, error) {
	select {
	case <-s.accepted:
	case <-ctx.Done():
	case <-s.ctx.Done():
	case <-s.client.life.Done():
	}
	// Of several that are ready select takes any: what counts is whether there is a run.
	switch {
	case s.RunID() != "":
	case ctx.Err() != nil:
		return nil, contextError(ctx)
	case s.client.closed():
		return nil, closedError()
	case errors.Is(context.Cause(s.ctx), ErrClosed):
		return nil, ErrClosed
	default:
		return nil, contextError(s.ctx)
	}
	answer, err := s.client.Runs.CancelRun(ctx, &lettapb.CancelRunRequest{RunId: s.RunID()})
	return answer.GetRun(), err
}

// Close stops following; the run goes on. A reader's loop ends without an error.
func (s *Stream) Close() {
	s.stop(ErrClosed)
}

func (s *Stream) next() (*lettapb.RunEvent, error) {
	// Not only when there is nothing at hand: a response may hold a thousand events.
	for len(s.waiting) == 0 || s.ctx.Err() != nil {
		if err := s.require(); errors.Is(err, ErrClosed) {
			return nil, io.EOF
		} else if err != nil {
			return nil, err
		}
		if err := s.advance(); err != nil {
			return nil, err
		}
	}
	event := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.last = event.GetSequenceNumber()
	s.accumulator.Add(event)
	return event, nil
}

// require says why there is nothing more to read: ErrClosed when the stream has ended or was closed.
func (s *Stream) require() error {
	switch {
	case s.ended, errors.Is(context.Cause(s.ctx), ErrClosed):
		s.hangUp()
		s.waiting = nil
		s.stop(ErrClosed)
		return ErrClosed
	case s.ctx.Err() != nil:
		s.hangUp()
		return contextError(s.ctx).because(s.tries.last)
	}
	return nil
}
