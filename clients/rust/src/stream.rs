//! A run's events, each exactly once and in order.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Sleep;

use crate::connection::Connection;
use crate::follower::{Follower, is_final};
use crate::v1::{Message, PendingAction, Run, RunState};
use crate::{Accumulator, Error, Event, Result};

/// The events of one run, until it has finished.
///
/// When the connection breaks, falls silent, or leaves something out, the stream attaches again behind the last event it has. It
/// gives up on an error that no new try helps, or after the retry policy's attempts without progress; an error is its last item.
/// [`Client::attach`](crate::Client::attach) behind [`last_sequence_number`](Self::last_sequence_number) goes on from there.
///
/// Dropping the stream ends the following, not the run: for that there is [`cancel`](Self::cancel).
#[must_use = "streams do nothing unless polled"]
pub struct RunStream {
    connection: Connection,
    place: Place,
    run_id: String,
    last_sequence_number: i32,
    waiting: VecDeque<Event>,
    failure: Option<Error>,
    // Of the try before, for a deadline that comes within a step.
    last_failure: Option<Error>,
    so_far: Accumulator,
    deadline: Option<(Duration, Pin<Box<Sleep>>)>,
}

type Step = Pin<Box<dyn Future<Output = (Box<Follower>, Result<()>)> + Send>>;

/// A step that has begun is kept until it is over, so that whoever drops a `next` loses nothing.
enum Place {
    Between(Box<Follower>),
    Within(Step),
    Over,
}

impl RunStream {
    pub(crate) async fn open(follower: Follower, deadline: Option<Duration>) -> Result<Self> {
        let mut stream = Self {
            connection: follower.connection().clone(),
            run_id: follower.run_id().to_owned(),
            last_sequence_number: follower.position(),
            place: Place::Between(Box::new(follower)),
            waiting: VecDeque::new(),
            failure: None,
            last_failure: None,
            so_far: Accumulator::default(),
            deadline: deadline.map(|limit| (limit, Box::pin(tokio::time::sleep(limit)))),
        };
        while matches!(&stream.place, Place::Between(follower) if !follower.is_accepted()) {
            poll_fn(|context| stream.poll_step(context)).await;
        }
        match stream.failure.take() {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }

    /// The run's id.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The number of the last event that was handed out: an attach behind it goes on from here, in another process too.
    #[must_use]
    pub fn last_sequence_number(&self) -> i32 {
        self.last_sequence_number
    }

    /// What the events handed out up to now add up to.
    #[must_use]
    pub fn so_far(&self) -> &Accumulator {
        &self.so_far
    }

    /// The calls that wait for answers, once the run has ended because of them. See [`Client::answer`](crate::Client::answer).
    #[must_use]
    pub fn pending_actions(&self) -> &[PendingAction] {
        self.so_far.pending_actions()
    }

    /// Returns the next event; `None` behind the last.
    ///
    /// Cancellation-safe: dropped before it is ready, as by `tokio::select!`, it loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Reads to the end; returns the run as it ended, whatever its state.
    ///
    /// # Errors
    /// What ended the stream before the run.
    pub async fn final_run(&mut self) -> Result<Run> {
        while let Some(event) = self.next().await {
            event?;
        }
        let run = self.so_far.run().filter(|run| is_final(run.state()));
        run.cloned().ok_or_else(Error::closed)
    }

    /// Reads to the end; returns the messages that were completed on this stream.
    ///
    /// # Errors
    /// What ended the stream before the run.
    pub async fn messages(&mut self) -> Result<Vec<Message>> {
        self.final_run().await?;
        Ok(self.so_far.messages().cloned().collect())
    }

    /// Reads to the end; returns the texts of the completed assistant messages, with a blank line between them.
    ///
    /// # Errors
    /// What ended the stream before the run, or that the run FAILED: then the error has [`failed_run`](Error::failed_run). What a
    /// cancelled run had said is returned.
    pub async fn text(&mut self) -> Result<String> {
        let run = self.final_run().await?;
        match run.state() {
            RunState::Failed => Err(Error::run_failed(run)),
            _ => Ok(self.so_far.text()),
        }
    }

    /// Asks the run to end, for everyone; returns it as it is. The stream goes on until the run has ended.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach.
    pub fn cancel(&self) -> impl Future<Output = Result<Run>> + Send + use<> {
        // Of its own: it may be awaited beside `next`, and in another task.
        let (connection, run_id) = (self.connection.clone(), self.run_id.clone());
        async move { connection.cancel_run(&run_id).await }
    }

    /// Stops following; the run goes on. What the stream has said stays readable.
    pub fn close(&mut self) {
        self.place = Place::Over;
        self.waiting.clear();
        self.failure = None;
        self.deadline = None;
    }

    /// Takes one step, or notices that the time is over.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some((limit, sleep)) = &mut self.deadline
            && sleep.as_mut().poll(context).is_ready()
        {
            self.failure = Some(Error::deadline(*limit).after(self.last_failure.as_ref()));
            self.place = Place::Over;
        }
        if let Place::Between(_) = self.place
            && let Place::Between(mut follower) = std::mem::replace(&mut self.place, Place::Over)
        {
            self.place = Place::Within(Box::pin(async move {
                let outcome = follower.step().await;
                (follower, outcome)
            }));
        }
        if let Place::Within(step) = &mut self.place {
            let (follower, outcome) = ready!(step.as_mut().poll(context));
            self.arrive(follower, outcome);
        }
        Poll::Ready(())
    }

    fn arrive(&mut self, mut follower: Box<Follower>, outcome: Result<()>) {
        follower.run_id().clone_into(&mut self.run_id);
        self.waiting.extend(follower.take_fresh());
        if let Some(run) = follower.take_found() {
            self.so_far.set_run(run);
        }
        self.failure = outcome.err();
        self.last_failure = follower.last_failure().cloned();
        let over = self.failure.is_some() || follower.has_ended();
        self.place = if over { Place::Over } else { Place::Between(follower) };
    }

    fn hand_out(&mut self) -> Option<Event> {
        let event = self.waiting.pop_front()?;
        self.last_sequence_number = event.sequence_number;
        self.so_far.add(&event);
        Some(event)
    }
}

impl Stream for RunStream {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.hand_out() {
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(error) = this.failure.take() {
                return Poll::Ready(Some(Err(error)));
            }
            if let Place::Over = this.place {
                return Poll::Ready(None);
            }
            ready!(this.poll_step(context));
        }
    }
}

impl fmt::Debug for RunStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RunStream")
            .field("run_id", &self.run_id)
            .field("last_sequence_number", &self.last_sequence_number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, RetryPolicy};
    use std::net::TcpListener;
    use tonic::Code;

    const SOON: Duration = Duration::from_millis(30);
    const LATER: Duration = Duration::from_millis(500);

    fn sent<T: Send>(value: T) -> T {
        value
    }

    #[tokio::test]
    async fn all_of_it_may_be_spawned() {
        async fn read(client: Client) -> Result<String> {
            let mut run = client.run("agent-1", "Hello!").stream().await?;
            let cancel = run.cancel();
            run.next().await.transpose()?;
            cancel.await?;
            run.text().await
        }
        let client = Client::connect("127.0.0.1:9").await.unwrap();
        drop(sent(read(client)));
    }

    /// A server that takes connections and never says a word.
    async fn silent() -> (TcpListener, Client) {
        served(RetryPolicy { initial: Duration::ZERO, call_attempts: 2, ..RetryPolicy::default() }, SOON).await
    }

    async fn served(retry: RetryPolicy, timeout: Duration) -> (TcpListener, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        (listener, Client::connect(target).timeout(timeout).retry(retry).await.unwrap())
    }

    fn assert_says_why(error: &Error) {
        assert_eq!(error.code(), Some(Code::DeadlineExceeded));
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Error>()).expect("a cause");
        assert!(cause.is_retryable(), "{cause}");
        assert!(error.message().ends_with(&format!("; the try before failed: {cause}")), "{error}");
    }

    #[tokio::test]
    async fn a_deadline_counts_from_the_start_on() {
        let (_listener, client) = silent().await;
        let error = client.run("agent-1", "Hello!").deadline(SOON).stream().await.unwrap_err();
        assert_eq!(error.code(), Some(Code::DeadlineExceeded));
    }

    #[tokio::test]
    async fn a_deadline_that_ends_the_tries_says_why_the_one_before_failed() {
        let (listener, client) =
            served(RetryPolicy { initial: Duration::from_secs(60), ..RetryPolicy::default() }, LATER).await;
        drop(listener);
        let error = client.run("agent-1", "Hello!").deadline(LATER).stream().await.unwrap_err();
        assert_says_why(&error);
    }

    #[tokio::test]
    async fn a_time_limit_of_a_call_says_why_the_try_before_failed() {
        let (listener, client) = served(RetryPolicy { initial: Duration::ZERO, ..RetryPolicy::default() }, LATER).await;
        // The first connection is closed, the next one never answered.
        let refusing = std::thread::spawn(move || listener.accept().map(|_| listener));
        assert_says_why(&client.get_run("run-1").await.unwrap_err());
        drop(refusing.join());
    }

    #[tokio::test]
    async fn a_server_that_never_accepts_is_given_up() {
        let (_listener, client) = silent().await;
        let error = client.run("agent-1", "Hello!").stream().await.unwrap_err();
        assert_eq!(error.code(), Some(Code::Unavailable));
    }

    #[tokio::test]
    async fn a_call_without_an_answer_ends_with_its_time() {
        let (_listener, client) = silent().await;
        let error = client.get_run("run-1").await.unwrap_err();
        assert_eq!(error.code(), Some(Code::DeadlineExceeded));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable() {
        let (listener, client) = silent().await;
        drop(listener);
        let error = client.run("agent-1", "Hello!").stream().await.unwrap_err();
        assert_eq!(error.code(), Some(Code::Unavailable));
    }
}
