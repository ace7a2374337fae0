#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod accumulator;
mod answer;
mod call;
mod client;
mod connect;
mod connection;
mod cursor;
mod error;
mod follower;
mod input;
mod request;
mod retry;
mod stream;
mod view;

/// The contract as it is generated: messages, and a client for each service.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!("generated/letta_grpc.v1.rs");
}

pub use accumulator::{Accumulator, ToolOutput};
pub use answer::Answer;
pub use client::Client;
pub use connect::Connect;
pub use connection::{Authorization, Transport};
pub use error::{Error, FieldViolation};
pub use input::Input;
pub use request::{Attach, RunRequest};
pub use retry::RetryPolicy;
pub use stream::RunStream;
/// What this crate is built on: its channels, codes and TLS.
pub use tonic;
/// What happened in a run; [`payload`](Event::payload) says what. A kind of a newer server's has none, and a number all the same.
pub use v1::RunEvent as Event;
/// What an event says.
pub use v1::run_event::Payload;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
