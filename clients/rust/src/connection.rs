//! One channel to a server, and how calls are made on it.

use std::future::Future;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::{Interceptor, interceptor::InterceptedService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::retry::Backoff;
use crate::v1::run_service_client::RunServiceClient;
use crate::v1::{CancelRunRequest, GetRunRequest, Run};
use crate::{Error, Result, RetryPolicy};

/// What calls travel on: the channel, and the API key with each of them.
pub type Transport = InterceptedService<Channel, Authorization>;

/// A response holds at most 1 MiB of events, or one event of 2 MiB; a page of messages may be larger.
pub(crate) const MAXIMUM_RESPONSE: usize = 64 * 1024 * 1024;

/// Adds the API key to a call.
#[derive(Clone, Debug)]
pub struct Authorization(pub(crate) Option<MetadataValue<Ascii>>);

impl Interceptor for Authorization {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("authorization", key.clone());
        }
        Ok(request)
    }
}

/// Makes calls, each with the API key, a time limit and typed errors. Clones share the channel.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
}

impl Connection {
    pub(crate) fn runs(&self) -> RunServiceClient<Transport> {
        RunServiceClient::new(self.transport.clone()).max_decoding_message_size(MAXIMUM_RESPONSE)
    }

    /// Makes a call that must not be made twice.
    pub(crate) async fn change<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
        within(Some(self.timeout), call).await.map(Response::into_inner)
    }

    /// Makes a call that may be repeated without harm; it is, while the server is out of reach.
    pub(crate) async fn ask<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.ask_within(Some(self.timeout), call).await
    }

    /// As `ask`; without a limit it waits as long as the answer takes.
    pub(crate) async fn ask_within<T, F>(&self, limit: Option<Duration>, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut backoff = Backoff::new(self.retry.clone());
        loop {
            match within(limit, call()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(error) if error.code() == Some(tonic::Code::DeadlineExceeded) => return Err(error.after(backoff.last())),
                Err(error) => {
                    let wait = backoff.wait_after(error, self.retry.call_attempts)?;
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    pub(crate) async fn get_run(&self, run_id: &str) -> Result<Run> {
        let request = GetRunRequest { run_id: run_id.to_owned() };
        let answer = self.ask(|| {
            let (mut runs, request) = (self.runs(), request.clone());
            async move { runs.get_run(request).await }
        });
        present("run", answer.await?.run)
    }

    pub(crate) async fn cancel_run(&self, run_id: &str) -> Result<Run> {
        let request = CancelRunRequest { run_id: run_id.to_owned() };
        let answer = self.ask(|| {
            let (mut runs, request) = (self.runs(), request.clone());
            async move { runs.cancel_run(request).await }
        });
        present("run", answer.await?.run)
    }
}

/// Waits for a call, or for the end of its time.
async fn within<T>(limit: Option<Duration>, call: impl Future<Output = Result<T, Status>>) -> Result<T> {
    match limit {
        None => Ok(call.await?),
        Some(limit) => Ok(tokio::time::timeout(limit, call).await.map_err(|_| Error::deadline(limit))??),
    }
}

/// Returns what every answer of this kind holds.
pub(crate) fn present<T>(name: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Status::internal(format!("the answer holds no {name}")).into())
}
