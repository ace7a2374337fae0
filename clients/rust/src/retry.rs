//! When to try again: exponential back-off with full jitter, bounded by attempts.

use std::time::Duration;

use crate::Error;

/// How patient a client is.
///
/// The wait before the n-th new try is drawn evenly from zero to `initial` · `multiplier`ⁿ⁻¹, at most `maximum`, and is never
/// shorter than the server asks.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The longest wait before the first new try. Default: 100 ms.
    pub initial: Duration,
    /// The longest wait of all. Default: 10 s.
    pub maximum: Duration,
    /// By how much the longest wait grows with each failure. Default: 2.
    pub multiplier: f64,
    /// How often the stream of an accepted run tries after its last progress. Default: 12.
    pub stream_attempts: u32,
    /// How often, in all, anything else is tried that may be repeated without harm. Default: 4.
    pub call_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            maximum: Duration::from_secs(10),
            multiplier: 2.0,
            stream_attempts: 12,
            call_attempts: 4,
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
    draw: fn() -> f64,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0, draw: fastrand::f64 }
    }

    /// Begins again: there was progress.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns how long to wait before the next try, or the error if no try is left or none would help.
    pub(crate) fn wait_after(&mut self, error: Error, attempts: u32) -> Result<Duration, Error> {
        self.failures = self.failures.saturating_add(1);
        if !error.is_retryable() || self.failures >= attempts {
            return Err(error);
        }
        let drawn = self.policy.ceiling(self.failures).mul_f64((self.draw)());
        Ok(drawn.max(error.retry_delay().unwrap_or_default()))
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
    fn a_wait_is_drawn_from_zero_on() {
        assert_eq!(backoff(|| 0.0).wait_after(unavailable(), 12).unwrap(), Duration::ZERO);
        assert_eq!(backoff(|| 0.5).wait_after(unavailable(), 12).unwrap(), Duration::from_millis(500));
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
