package lettagrpc

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy says how patient a client is.
//
// The wait before the n-th new try has a ceiling, Initial · Multiplierⁿ⁻¹ and at most Maximum. It is drawn evenly from half of it
// to the whole, and is never shorter than the server asks.
type RetryPolicy struct {
	Initial    time.Duration
	Maximum    time.Duration
	Multiplier float64
	// How often an accepted run's stream is tried after its last progress. By default it goes on through any outage of a minute,
	// and gives up after 66 to 133 seconds.
	StreamAttempts int
	// How often whatever else may be repeated without harm, the start of a run too, is tried in all. By default that takes it
	// through any outage of ten seconds, longer than a restart takes; it gives up after 11 to 23 seconds.
	CallAttempts int
}

// DefaultRetry is what a client does unless it is told otherwise.
var DefaultRetry = RetryPolicy{
	Initial:        100 * time.Millisecond,
	Maximum:        10 * time.Second,
	Multiplier:     2,
	StreamAttempts: 20,
	CallAttempts:   9,
}

// attempts counts failures since the last progress.
type attempts struct {
	policy   RetryPolicy
	limit    int
	failures int
	// Why the try before failed.
	last *Error
}

func (a *attempts) reset() { a.failures, a.last = 0, nil }

// after returns how long to wait before the next try, or that none is left or none would help.
func (a *attempts) after(failure *Error) (time.Duration, bool) {
	a.failures++
	if !failure.Retryable() || a.failures >= a.limit {
		a.failures = 0
		return 0, false
	}
	a.last = failure
	ceiling := float64(a.policy.Initial) * math.Pow(a.policy.Multiplier, float64(a.failures-1))
	ceiling = min(ceiling, float64(a.policy.Maximum))
	// Not from 0 on: a few short draws in a row would spend the attempts long before the server is back.
	drawn := ceiling * (1 + rand.Float64()) / 2
	return max(time.Duration(drawn), failure.RetryDelay), true
}

// sleep waits; the context ends it.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}
