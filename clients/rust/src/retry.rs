//! When to try again: exponential back-off with jitter, bounded by attempts.

use std::time::Duration;

use crate::Error;

/// How patient a client is.
///
/// The wait before the n-th new try has a ceiling, `initial` · `multiplier`ⁿ⁻¹ and at most `maximum`. It is drawn evenly from
/// half of it to the whole, and is never shorter than the server asks.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The longest wait before the first new try. Default: 100 ms.
    pub initial: Duration,
    /// The longest wait of all. Default: 10 s.
    pub maximum: Duration,
    /// By how much the longest wait grows with each failure. Default: 2.
    pub multiplier: f64,
    /// How often the stream of an accepted run tries after its last progress. Default: 20, so that it goes on through any
    /// outage of a minute; it gives up after 66 to 133 seconds.
    pub stream_attempts: u32,
    /// How often, in all, anything else is tried that may be repeated without harm, the start of a run too. Default: 9, which
    /// takes it through any outage of ten seconds, longer than a restart takes; it gives up after 11 to 23 seconds.
    pub call_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            maximum: Duration::from_secs(10),
            multiplier: 2.0,
            stream_attempts: 20,
            call_attempts: 9,
        }
    }
}

impl RetryPolicy {
    fn ceiling(&self, failures: u32) -> Duration {
        let factor = self.multiplier.powf(f64::from(failures.saturating_sub(1)));
        let seconds = self.initial.as_secs_f64() * factor;
        Duration::try_from_secs_f64(seconds).map_or(self.maximum, |wait| wait.min(self.maximum))
    }
}

/// Counts failures since the last progress.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: RetryPolicy,
    failures: u32,
    last: Option<Error>,
    draw: fn() -> f64,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0, last: None, draw: fastrand::f64 }
    }

    /// Begins again: there was progress.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.last = None;
    }

    /// Why the try before failed, if there was one since the last progress.
    pub(crate) fn last(&self) -> Option<&Error> {
        self.last.as_ref()
    }

    /// Returns how long to wait before the next try, or the error if no try is left or none would help.
    pub(crate) fn wait_after(&mut self, error: Error, attempts: u32) -> Result<Duration, Error> {
        self.failures = self.failures.saturating_add(1);
        if !error.is_retryable() || self.failures >= attempts {
            return Err(error);
        }
        // Not from zero on: a few short draws in a row would spend the attempts long before the server is back.
        let drawn = self.policy.ceiling(self.failures).mul_f64(f64::midpoint(1.0, (self.draw)()));
        let wait = drawn.max(error.retry_delay().unwrap_or_default());
        self.last = Some(error);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::tests::{refusal, retry_after};
    use tonic::{Code, Status};

    fn patience() -> RetryPolicy {
        RetryPolicy { initial: Duration::from_secs(1), maximum: Duration::from_secs(5), ..RetryPolicy::default() }
    }

    fn unavailable() -> Error {
        Status::unavailable("gone").into()
    }

    fn backoff(draw: fn() -> f64) -> Backoff {
        Backoff { draw, ..Backoff::new(patience()) }
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let mut backoff = backoff(|| 1.0);
        let waits: Vec<u64> = (0..5).map(|_| backoff.wait_after(unavailable(), 12).unwrap().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn a_wait_is_drawn_from_half_of_its_ceiling_on() {
        assert_eq!(backoff(|| 0.0).wait_after(unavailable(), 12).unwrap(), Duration::from_millis(500));
        assert_eq!(backoff(|| 0.5).wait_after(unavailable(), 12).unwrap(), Duration::from_millis(750));
    }

    fn outlasted(attempts: u32, draw: fn() -> f64) -> Duration {
        let mut backoff = Backoff { draw, ..Backoff::new(RetryPolicy::default()) };
        std::iter::from_fn(|| backoff.wait_after(unavailable(), attempts).ok()).sum()
    }

    #[test]
    fn a_stream_outlasts_a_minute_of_outage_however_its_waits_are_drawn() {
        assert!(outlasted(RetryPolicy::default().stream_attempts, || 0.0) >= Duration::from_secs(60));
    }

    #[test]
    fn a_start_outlasts_a_restart_and_keeps_nobody_waiting_for_long() {
        let attempts = RetryPolicy::default().call_attempts;
        assert!(outlasted(attempts, || 0.0) >= Duration::from_secs(10));
        assert!(outlasted(attempts, || 1.0) <= Duration::from_secs(25));
    }

    #[test]
    fn a_wait_is_as_long_as_the_server_asks() {
        let busy = retry_after(Code::Unavailable, Duration::from_secs(7));
        assert_eq!(backoff(|| 0.0).wait_after(busy, 12).unwrap(), Duration::from_secs(7));
    }

    #[test]
    fn the_last_attempt_gives_the_error() {
        let mut backoff = backoff(|| 0.0);
        assert!(backoff.wait_after(unavailable(), 2).is_ok());
        assert_eq!(backoff.wait_after(unavailable(), 2).unwrap_err().code(), Some(Code::Unavailable));
    }

    #[test]
    fn progress_begins_the_count_again() {
        let mut backoff = backoff(|| 1.0);
        assert!(backoff.wait_after(unavailable(), 2).is_ok());
        backoff.reset();
        assert_eq!(backoff.wait_after(unavailable(), 2).unwrap(), Duration::from_secs(1));
    }

    #[test]
    fn what_the_server_refuses_for_good_is_not_tried_again() {
        let busy = refusal(Code::Aborted, "CONVERSATION_BUSY", &[]);
        assert!(backoff(|| 0.0).wait_after(busy, 12).is_err());
    }

    #[test]
    fn thousands_of_failures_overflow_nothing() {
        let mut backoff = backoff(|| 1.0);
        for _ in 0..5000 {
            assert!(backoff.wait_after(unavailable(), u32::MAX).unwrap() <= Duration::from_secs(5));
        }
    }
}
