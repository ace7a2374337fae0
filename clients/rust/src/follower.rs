//! Follows a run across any number of broken connections, step by step.

use std::mem;
use std::time::Duration;

use crate::call::{Batch, Call};
use crate::connection::Connection;
use crate::cursor::Cursor;
use crate::retry::Backoff;
use crate::v1::{AttachRunRequest, Run, RunEvent, RunState, StreamOptions, StreamRunRequest, run_event::Payload};
use crate::view::silence_limit;
use crate::{Error, Result};

/// How long the status may take to come behind the run's last event.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a stream begins with.
#[derive(Debug)]
pub(crate) enum Start {
    /// A new run; repeating it is safe: the request id makes the server answer with the same one.
    Run(Box<StreamRunRequest>),
    /// A run that there is, behind a number.
    Behind(String, i32),
}

/// Rule: each step does one thing that waits: it dials, or reads one response, or sleeps after a failure. What a step has found
/// is there when it is over.
#[derive(Debug)]
pub(crate) struct Follower {
    connection: Connection,
    start: Start,
    options: StreamOptions,
    silence: Option<Duration>,
    cursor: Cursor,
    backoff: Backoff,
    call: Option<Call>,
    pause: Option<Duration>,
    run_id: String,
    accepted: bool,
    ended: bool,
    fresh: Vec<RunEvent>,
    found: Option<Run>,
}

impl Follower {
    pub(crate) fn new(connection: Connection, start: Start, options: StreamOptions) -> Self {
        let (run_id, after) = match &start {
            Start::Run(_) => (String::new(), 0),
            Start::Behind(run_id, after) => (run_id.clone(), *after),
        };
        Self {
            start,
            silence: silence_limit(&options),
            cursor: Cursor::new(after, &options),
            backoff: Backoff::new(connection.retry.clone()),
            options,
            connection,
            call: None,
            pause: None,
            run_id,
            accepted: false,
            ended: false,
            fresh: Vec::new(),
            found: None,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The run; empty until it is known.
    pub(crate) fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The number behind which the stream goes on.
    pub(crate) fn position(&self) -> i32 {
        self.cursor.position
    }

    /// Whether the server has accepted the first call, and said of which run.
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted && !self.run_id.is_empty()
    }

    /// Whether nothing more will ever come.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes the events that the steps up to now have found.
    pub(crate) fn take_fresh(&mut self) -> Vec<RunEvent> {
        mem::take(&mut self.fresh)
    }

    /// Takes the run, where the stream's end alone did not tell it.
    pub(crate) fn take_found(&mut self) -> Option<Run> {
        self.found.take()
    }

    /// Why the try before failed, if there was one since the last progress.
    pub(crate) fn last_failure(&self) -> Option<&Error> {
        self.backoff.last()
    }

    /// Takes one step. An error is one that no new try helps, or the last of too many.
    pub(crate) async fn step(&mut self) -> Result<()> {
        let outcome = match (self.pause.take(), &mut self.call) {
            (Some(pause), _) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            (None, None) => self.dial().await,
            (None, Some(_)) if self.cursor.finished => {
                self.take_leave().await;
                Ok(())
            }
            (None, Some(_)) => self.read().await,
        };
        outcome.or_else(|error| self.fail(error))
    }

    async fn dial(&mut self) -> Result<()> {
        // Not that of silence: no heartbeat is due before the server has the call, and a connection may have to be made.
        let limit = self.connection.timeout;
        let call = match &self.start {
            Start::Run(request) if self.run_id.is_empty() => {
                Call::start(&self.connection, (**request).clone(), limit).await?
            }
            _ => Call::attach(&self.connection, self.attach_request(), limit).await?,
        };
        self.accepted = true;
        self.learn(&call.run_id);
        self.call = Some(call);
        Ok(())
    }

    fn attach_request(&self) -> AttachRunRequest {
        AttachRunRequest {
            run_id: self.run_id.clone(),
            after_sequence_number: self.cursor.position,
            options: Some(self.options.clone()),
        }
    }

    async fn read(&mut self) -> Result<()> {
        let Some(call) = &mut self.call else { return Ok(()) };
        match call.read(self.silence).await? {
            None => self.verify_end().await,
            Some(batch) => self.take(batch),
        }
    }

    fn take(&mut self, batch: Batch) -> Result<()> {
        self.learn(&batch.run_id);
        for event in batch.events {
            let alive = matches!(event.payload, Some(Payload::Heartbeat(_)));
            let accepted = self.cursor.accept(event)?;
            if alive || accepted.is_some() {
                self.backoff.reset();
            }
            self.fresh.extend(accepted);
        }
        Ok(())
    }

    fn learn(&mut self, run_id: &str) {
        if self.run_id.is_empty() {
            run_id.clone_into(&mut self.run_id);
        }
    }

    /// Lets the call end by itself: hanging up on it would look like a lost reader to the server.
    async fn take_leave(&mut self) {
        if let Some(mut call) = self.call.take() {
            // However it goes: behind the run's last event nothing is worth another call.
            let _ = call.read(Some(FAREWELL)).await;
        }
        self.ended = true;
    }

    /// OK without `run_finished` is right behind the last event of a finished run, and nowhere else.
    async fn verify_end(&mut self) -> Result<()> {
        if self.run_id.is_empty() {
            return Err(Error::broken("the stream ended before the run was accepted"));
        }
        let run = self.connection.get_run(&self.run_id).await?;
        let position = self.cursor.position;
        if !is_final(run.state()) || run.last_sequence_number() > position {
            return Err(Error::broken(format!("the stream ended after event {position}, before the run did")));
        }
        self.found = Some(run);
        self.call = None;
        self.ended = true;
        Ok(())
    }

    fn fail(&mut self, error: Error) -> Result<()> {
        self.call = None;
        if self.cursor.finished {
            self.ended = true;
            return Ok(());
        }
        let policy = &self.connection.retry;
        // Until the run is accepted the caller waits for an answer, not for a stream.
        let attempts = if self.run_id.is_empty() { policy.call_attempts } else { policy.stream_attempts };
        self.pause = Some(self.backoff.wait_after(error, attempts)?);
        Ok(())
    }
}

pub(crate) fn is_final(state: RunState) -> bool {
    matches!(state, RunState::Completed | RunState::Interrupted | RunState::Failed | RunState::Cancelled)
}
