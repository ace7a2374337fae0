//! How one reader sees a run, and for how long.

use std::time::Duration;

use crate::v1::StreamOptions;

/// A server that is told nothing else sends a heartbeat after so much silence.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
const SILENT_INTERVALS: u32 = 3;

#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) options: StreamOptions,
    pub(crate) deadline: Option<Duration>,
}

/// The setters of a `view` field, for each request that is answered by a stream.
macro_rules! view_setters {
    () => {
        /// Asks for a heartbeat after so much silence; three times as long without a word, and the stream attaches again.
        /// 1 s to 10 min; default 15 s; zero: no heartbeats, and silence is no sign of anything.
        pub fn heartbeat(mut self, interval: std::time::Duration) -> Self {
            self.view.options.heartbeat_interval = Some($crate::view::span(interval));
            self
        }

        /// Leaves out text, reasoning and tool call deltas: whole messages come all the same.
        pub fn omit_deltas(mut self) -> Self {
            self.view.options.omit_deltas = true;
            self
        }

        /// How events are sent, all of it at once.
        pub fn options(mut self, options: $crate::v1::StreamOptions) -> Self {
            self.view.options = options;
            self
        }

        /// How long the stream may take, from its start to its end. Behind that it ends with `DeadlineExceeded`, and the run
        /// goes on.
        pub fn deadline(mut self, limit: std::time::Duration) -> Self {
            self.view.deadline = Some(limit);
            self
        }
    };
}
pub(crate) use view_setters;

/// Returns how long a silence means that a stream is dead; `None` where no heartbeats were asked for.
pub(crate) fn silence_limit(options: &StreamOptions) -> Option<Duration> {
    let interval = match options.heartbeat_interval {
        None => DEFAULT_HEARTBEAT,
        // What is negative is the server's to refuse.
        Some(asked) => Duration::try_from(asked).unwrap_or_default(),
    };
    (!interval.is_zero()).then(|| interval.saturating_mul(SILENT_INTERVALS))
}

/// Returns a time span of the contract's.
pub(crate) fn span(duration: Duration) -> prost_types::Duration {
    // The longest that can be told is longer than any that a server takes.
    prost_types::Duration::try_from(duration).unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(heartbeat: Duration) -> Option<Duration> {
        silence_limit(&StreamOptions { heartbeat_interval: Some(span(heartbeat)), ..StreamOptions::default() })
    }

    #[test]
    fn three_heartbeats_late_is_silence() {
        assert_eq!(limit_of(Duration::from_millis(500)), Some(Duration::from_millis(1500)));
        assert_eq!(silence_limit(&StreamOptions::default()), Some(Duration::from_secs(45)));
    }

    #[test]
    fn without_heartbeats_no_silence_is_too_long() {
        assert_eq!(limit_of(Duration::ZERO), None);
    }
}
