//! One streaming call, from its start to its first failure or its end.

use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Response, Status, Streaming};

use crate::connection::Connection;
use crate::v1::{AttachRunRequest, AttachRunResponse, RunEvent, StreamRunRequest, StreamRunResponse};
use crate::{Error, Result};

const RUN_ID: &str = "letta-run-id";

/// What a response holds.
pub(crate) struct Batch {
    pub(crate) run_id: String,
    pub(crate) events: Vec<RunEvent>,
}

#[derive(Debug)]
pub(crate) struct Call {
    // As the initial metadata say it; empty where a proxy swallowed them.
    pub(crate) run_id: String,
    responses: Responses,
}

#[derive(Debug)]
enum Responses {
    Stream(Streaming<StreamRunResponse>),
    Attach(Streaming<AttachRunResponse>),
}

impl Call {
    /// Waits until the server has accepted the call.
    pub(crate) async fn start(connection: &Connection, request: StreamRunRequest, limit: Duration) -> Result<Self> {
        let response = word_within(Some(limit), connection.runs().stream_run(request)).await?;
        Ok(Self::accepted(response, Responses::Stream))
    }

    /// As `start`, of a run that there is.
    pub(crate) async fn attach(connection: &Connection, request: AttachRunRequest, limit: Duration) -> Result<Self> {
        let response = word_within(Some(limit), connection.runs().attach_run(request)).await?;
        Ok(Self::accepted(response, Responses::Attach))
    }

    /// Returns the next response; `None` behind the last one of a call that ended OK.
    pub(crate) async fn read(&mut self, limit: Option<Duration>) -> Result<Option<Batch>> {
        Ok(match &mut self.responses {
            Responses::Stream(stream) => {
                let response = word_within(limit, stream.message()).await?;
                response.map(|one| Batch { run_id: one.run_id, events: one.events })
            }
            Responses::Attach(stream) => {
                let response = word_within(limit, stream.message()).await?;
                response.map(|one| Batch { run_id: one.run_id, events: one.events })
            }
        })
    }

    fn accepted<T>(response: Response<T>, responses: impl FnOnce(T) -> Responses) -> Self {
        let run_id = run_id_of(response.metadata());
        Self { run_id, responses: responses(response.into_inner()) }
    }
}

fn run_id_of(metadata: &MetadataMap) -> String {
    metadata.get(RUN_ID).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Waits for a word of the server's. Silence is a broken stream.
async fn word_within<T>(limit: Option<Duration>, word: impl Future<Output = std::result::Result<T, Status>>) -> Result<T> {
    let Some(limit) = limit else { return Ok(word.await?) };
    match tokio::time::timeout(limit, word).await {
        Ok(word) => Ok(word?),
        Err(_) => Err(Error::broken(format!("no word from the server for {limit:?}"))),
    }
}
