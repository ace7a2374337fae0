//! Runs about to be started, and runs about to be followed.

use std::collections::HashMap;
use std::time::Duration;

use crate::connection::{Connection, present};
use crate::follower::{Follower, Start};
use crate::v1::{
    ClientTool, ConflictPolicy, CreateRunRequest, DisconnectPolicy, ExecuteRunRequest, ExecuteRunResponse, Run, RunSpec,
    StreamRunRequest,
};
use crate::view::{View, span, view_setters};
use crate::{Input, Result, RunStream};

/// A run about to be started. See [`Client::run`](crate::Client::run).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `stream`, `execute` or `create`"]
pub struct RunRequest {
    connection: Connection,
    agent_id: String,
    conversation_id: String,
    request_id: String,
    spec: RunSpec,
    view: View,
}

impl RunRequest {
    pub(crate) fn new(connection: Connection, agent_id: String, input: Input) -> Self {
        Self {
            connection,
            agent_id,
            conversation_id: String::new(),
            request_id: uuid::Uuid::new_v4().to_string(),
            spec: RunSpec { messages: input.0, ..RunSpec::default() },
            view: View::default(),
        }
    }

    /// Starts the run and follows it; returns once the server has accepted it.
    ///
    /// Safe against broken connections from the first moment on: a start that is repeated has the same request id.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach.
    pub async fn stream(self) -> Result<RunStream> {
        let Self { connection, agent_id, conversation_id, request_id, spec, view } = self;
        let request =
            StreamRunRequest { agent_id, conversation_id, request_id, run: Some(spec), options: Some(view.options.clone()) };
        let follower = Follower::new(connection, Start::Run(Box::new(request)), view.options);
        RunStream::open(follower, view.deadline).await
    }

    /// Starts the run and waits for its end, across broken connections; returns it, whatever its state, and the messages that
    /// it added.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach.
    pub async fn execute(self) -> Result<ExecuteRunResponse> {
        let Self { connection, agent_id, conversation_id, request_id, spec, .. } = self;
        let request = ExecuteRunRequest { agent_id, conversation_id, request_id, run: Some(spec) };
        let call = || {
            let (mut runs, request) = (connection.runs(), request.clone());
            async move { runs.execute_run(request).await }
        };
        connection.ask_within(None, call).await
    }

    /// Starts a run that goes on by itself; returns it as it was accepted.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach.
    pub async fn create(self) -> Result<Run> {
        let Self { connection, agent_id, conversation_id, request_id, spec, .. } = self;
        let request = CreateRunRequest { agent_id, conversation_id, request_id, run: Some(spec) };
        let call = || {
            let (mut runs, request) = (connection.runs(), request.clone());
            async move { runs.create_run(request).await }
        };
        present("run", connection.ask(call).await?.run)
    }

    /// Runs in this conversation; without it in the agent's default one.
    pub fn conversation(mut self, id: impl Into<String>) -> Self {
        self.conversation_id = id.into();
        self
    }

    /// The UUID that makes the start safe to repeat, by another process too; default: a new one.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = id.into();
        self
    }

    /// How many times the model may be asked; default 50.
    pub fn max_steps(mut self, steps: i32) -> Self {
        self.spec.max_steps = Some(steps);
        self
    }

    /// How long the run may take; default 10 minutes. Not the [`deadline`](Self::deadline) of this stream.
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.spec.run_timeout = Some(span(limit));
        self
    }

    /// What happens while the conversation has an active run; default: the start is refused.
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.spec.set_conflict_policy(policy);
        self
    }

    /// Cancels the run once nobody has read it for so long; default: it goes on without readers.
    pub fn cancel_when_left(mut self, grace: Duration) -> Self {
        self.spec.set_disconnect_policy(DisconnectPolicy::Cancel);
        self.spec.disconnect_grace = Some(span(grace));
        self
    }

    /// How long calls may wait for answers before they are denied; default 24 hours.
    pub fn approval_timeout(mut self, limit: Duration) -> Self {
        self.spec.approval_timeout = Some(span(limit));
        self
    }

    /// Tools that run here: the run waits for their returns. See [`Answer::tool_return`](crate::Answer::tool_return).
    pub fn client_tools(mut self, tools: impl IntoIterator<Item = ClientTool>) -> Self {
        self.spec.client_tools.extend(tools);
        self
    }

    /// The tools one of which the model has to call first.
    pub fn tool_choice(mut self, tools: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.spec.tool_choice.extend(tools.into_iter().map(Into::into));
        self
    }

    /// The model for this run, in place of the agent's.
    pub fn model(mut self, handle: impl Into<String>) -> Self {
        self.spec.model = Some(handle.into());
        self
    }

    /// The system prompt for this run, in place of the agent's.
    pub fn system(mut self, prompt: impl Into<String>) -> Self {
        self.spec.system = Some(prompt.into());
        self
    }

    /// A JSON Schema, as text or a `serde_json::Value`: the answer is JSON of this shape.
    pub fn response_format(mut self, schema: impl std::fmt::Display) -> Self {
        self.spec.response_format = Some(schema.to_string());
        self
    }

    /// Tells this address by a POST that the run has ended, also when it waits for answers then.
    pub fn callback(mut self, url: impl Into<String>) -> Self {
        self.spec.callback_url = Some(url.into());
        self
    }

    /// Kept with the run, for your own use.
    pub fn metadata(mut self, entries: HashMap<String, String>) -> Self {
        self.spec.metadata = entries;
        self
    }

    /// Marks the run as background work, for listings.
    pub fn background(mut self) -> Self {
        self.spec.background = true;
        self
    }

    view_setters!();
}

/// A run about to be followed. See [`Client::attach`](crate::Client::attach).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `stream`"]
pub struct Attach {
    connection: Connection,
    run_id: String,
    after: i32,
    view: View,
}

impl Attach {
    pub(crate) fn new(connection: Connection, run_id: String) -> Self {
        Self { connection, run_id, after: 0, view: View::default() }
    }

    /// Follows the run; returns once the server has accepted that.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach.
    pub async fn stream(self) -> Result<RunStream> {
        let start = Start::Behind(self.run_id, self.after);
        let follower = Follower::new(self.connection, start, self.view.options);
        RunStream::open(follower, self.view.deadline).await
    }

    /// Begins behind the event with this number; default 0, with the first. See
    /// [`RunStream::last_sequence_number`].
    pub fn after(mut self, sequence_number: i32) -> Self {
        self.after = sequence_number;
        self
    }

    view_setters!();
}
