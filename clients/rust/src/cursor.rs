//! A reader's place in a run's log: what is new, what was there before, what is missing.

use crate::v1::{RunEvent, StreamOptions, run_event::Payload};
use crate::{Error, Result};

/// Lets each event through once, in order.
///
/// Rule: an event passes only if its number follows the last one. With a filter numbers may jump, so there only their order is
/// checked. A heartbeat never passes; what it says has been delivered must have been.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) position: i32,
    pub(crate) finished: bool,
    filtered: bool,
}

impl Cursor {
    pub(crate) fn new(after: i32, options: &StreamOptions) -> Self {
        let filtered = options.omit_deltas || !options.event_kinds.is_empty();
        Self { position: after, finished: false, filtered }
    }

    /// Returns the event if it is new, or an error at a gap: then nothing behind it counts.
    pub(crate) fn accept(&mut self, event: RunEvent) -> Result<Option<RunEvent>> {
        let number = event.sequence_number;
        if let Some(Payload::Heartbeat(_)) = event.payload {
            self.require(number <= self.position, number)?;
            self.position = self.position.max(number);
            return Ok(None);
        }
        if number <= self.position {
            return Ok(None);
        }
        self.require(number == self.position + 1, number)?;
        self.position = number;
        self.finished = matches!(event.payload, Some(Payload::RunFinished(_)));
        Ok(Some(event))
    }

    fn require(&self, follows: bool, number: i32) -> Result<()> {
        if follows || self.filtered {
            return Ok(());
        }
        let position = self.position;
        Err(Error::broken(format!("the stream jumped from event {position} to {number}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{EventKind, Heartbeat, RunFinished};

    fn event(number: i32) -> RunEvent {
        RunEvent { sequence_number: number, ..RunEvent::default() }
    }

    fn of(number: i32, payload: Payload) -> RunEvent {
        RunEvent { payload: Some(payload), ..event(number) }
    }

    fn heartbeat(number: i32) -> RunEvent {
        of(number, Payload::Heartbeat(Heartbeat {}))
    }

    fn numbers(cursor: &mut Cursor, events: impl IntoIterator<Item = RunEvent>) -> Result<Vec<i32>> {
        let accepted: Result<Vec<_>> = events.into_iter().map(|event| cursor.accept(event)).collect();
        Ok(accepted?.into_iter().flatten().map(|event| event.sequence_number).collect())
    }

    fn whole() -> Cursor {
        Cursor::new(0, &StreamOptions::default())
    }

    fn filtered() -> Cursor {
        Cursor::new(0, &StreamOptions { omit_deltas: true, ..StreamOptions::default() })
    }

    #[test]
    fn what_was_there_before_is_dropped() {
        assert_eq!(numbers(&mut whole(), [1, 2, 1, 2, 3].map(event)).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_gap_is_an_error_and_moves_nothing() {
        let mut cursor = whole();
        assert_eq!(numbers(&mut cursor, [event(1)]).unwrap(), [1]);
        assert!(cursor.accept(event(3)).unwrap_err().is_retryable());
        assert_eq!(cursor.position, 1);
    }

    #[test]
    fn a_heartbeat_never_passes_and_may_not_be_ahead() {
        let mut cursor = whole();
        assert_eq!(numbers(&mut cursor, [heartbeat(0), event(1), heartbeat(1)]).unwrap(), [1]);
        assert!(cursor.accept(heartbeat(2)).is_err());
    }

    #[test]
    fn with_a_filter_numbers_may_jump_and_a_heartbeat_moves_the_position() {
        let mut cursor = filtered();
        assert_eq!(numbers(&mut cursor, [event(1), event(4), heartbeat(6), event(5), event(9)]).unwrap(), [1, 4, 9]);
        assert_eq!(cursor.position, 9);
        let kinds = StreamOptions { event_kinds: vec![EventKind::Custom.into()], ..StreamOptions::default() };
        assert!(Cursor::new(0, &kinds).accept(event(7)).is_ok());
    }

    #[test]
    fn events_behind_a_place_follow_it() {
        let mut cursor = Cursor::new(5, &StreamOptions::default());
        assert_eq!(numbers(&mut cursor, [event(5), event(6)]).unwrap(), [6]);
    }

    #[test]
    fn the_runs_end_is_the_end() {
        let mut cursor = whole();
        assert!(cursor.accept(of(1, Payload::RunFinished(RunFinished::default()))).is_ok());
        assert!(cursor.finished);
    }
}
