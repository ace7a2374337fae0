//! The client: one per server.

use crate::answer;
use crate::connection::{Connection, MAXIMUM_RESPONSE, Transport, present};
use crate::v1::{
    Agent, CreateAgentRequest, Run, agent_service_client::AgentServiceClient, archive_service_client::ArchiveServiceClient,
    block_service_client::BlockServiceClient, conversation_service_client::ConversationServiceClient,
    mcp_service_client::McpServiceClient, model_service_client::ModelServiceClient, run_service_client::RunServiceClient,
    tool_service_client::ToolServiceClient,
};
use crate::{Answer, Attach, Connect, Input, Result, RunRequest};

/// Speaks to one server, over one channel. Clones are cheap and share it.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
}

/// The generated client of a service. Its calls have no time limit but the one that you set, and are not repeated.
macro_rules! service {
    ($(#[$about:meta])* $name:ident, $client:ident) => {
        $(#[$about])*
        #[must_use]
        pub fn $name(&self) -> $client<Transport> {
            $client::new(self.connection.transport.clone()).max_decoding_message_size(MAXIMUM_RESPONSE)
        }
    };
}

impl Client {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Makes a client for a server: `host:port` or `http://…` in plain text, `https://…` by TLS. With `.tls(…)` `host:port` is
    /// secured too.
    ///
    /// The connection is made with the first call, and made again whenever it breaks: a client may be older than its server.
    ///
    /// ```
    /// # async fn connect() -> letta_grpc::Result<()> {
    /// let client = letta_grpc::Client::connect("https://agents.example:50051").api_key("secret").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connect(target: impl Into<String>) -> Connect {
        Connect::new(target)
    }

    /// Makes a client as the environment says: `LETTA_GRPC_TARGET` (127.0.0.1:50051) and `LETTA_GRPC_TARGET_API_KEY`.
    pub fn from_env() -> Connect {
        Connect::from_env()
    }

    /// Begins a run: an agent's answer to an input. Nothing is sent before the request's `stream`, `execute` or `create`.
    ///
    /// ```no_run
    /// # async fn talk(client: letta_grpc::Client) -> letta_grpc::Result<()> {
    /// let mut run = client.run("agent-1", "Hello!").max_steps(5).stream().await?;
    /// while let Some(event) = run.next().await {
    ///     print!("{}", event?.text_delta());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn run(&self, agent_id: impl Into<String>, input: impl Into<Input>) -> RunRequest {
        RunRequest::new(self.connection.clone(), agent_id.into(), input.into())
    }

    /// Begins the run that answers the waiting calls of another. Calls without an answer go on waiting: then the new run ends
    /// at once, INTERRUPTED again.
    ///
    /// ```no_run
    /// use letta_grpc::Answer;
    ///
    /// # async fn decide(client: letta_grpc::Client) -> letta_grpc::Result<()> {
    /// let run = client.run("agent-1", "Send the letter.").stream().await?.final_run().await?;
    /// let answers = run.pending_actions.iter().map(|action| (&action.tool_call_id, Answer::approve()));
    /// println!("{}", client.answer(&run, answers).stream().await?.text().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer<C: Into<String>>(&self, run: &Run, answers: impl IntoIterator<Item = (C, Answer)>) -> RunRequest {
        let answers = answers.into_iter().map(|(call, answer)| (call.into(), answer));
        self.run(&run.agent_id, answer::messages(answers)).conversation(&run.conversation_id)
    }

    /// Follows a run that there is, at work or ended: by default from its first event.
    ///
    /// ```no_run
    /// # async fn go_on(client: letta_grpc::Client) -> letta_grpc::Result<()> {
    /// let text = client.attach("run-1").after(41).stream().await?.text().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach(&self, run_id: impl Into<String>) -> Attach {
        Attach::new(self.connection.clone(), run_id.into())
    }

    /// Returns a run as it stands.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach.
    pub async fn get_run(&self, run_id: &str) -> Result<Run> {
        self.connection.get_run(run_id).await
    }

    /// Asks a run to end, durably; returns it as it is, perhaps still running.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach.
    pub async fn cancel_run(&self, run_id: &str) -> Result<Run> {
        self.connection.cancel_run(run_id).await
    }

    /// Makes an agent; returns it as stored. It has the base tools, unless it names others.
    ///
    /// # Errors
    /// Whatever the server refuses, or that it is out of reach. Not repeated: two tries might make two agents.
    pub async fn create_agent(&self, agent: Agent) -> Result<Agent> {
        let request = CreateAgentRequest { agent: Some(agent), ..CreateAgentRequest::default() };
        let answer = self.connection.change(self.agents().create_agent(request)).await?;
        present("agent", answer.agent)
    }

    service!(/// Runs, call by call.
        runs, RunServiceClient);
    service!(/// Agents, call by call.
        agents, AgentServiceClient);
    service!(/// Conversations, call by call.
        conversations, ConversationServiceClient);
    service!(/// Memory blocks, call by call.
        blocks, BlockServiceClient);
    service!(/// What agents keep out of their contexts, call by call.
        archive, ArchiveServiceClient);
    service!(/// Tools, call by call.
        tools, ToolServiceClient);
    service!(/// MCP servers, call by call.
        mcp_servers, McpServiceClient);
    service!(/// Models, call by call.
        models, ModelServiceClient);
}
