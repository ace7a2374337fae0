//! What can go wrong.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::v1::{ErrorReason, Run};

/// What proxies, connections and crashed servers send: no word of our server's, so another try may meet a healthy one.
const BROKEN_CONNECTION: [Code; 6] =
    [Code::Aborted, Code::Cancelled, Code::DataLoss, Code::DeadlineExceeded, Code::Internal, Code::Unknown];
const PASSING_REASONS: [ErrorReason; 2] = [ErrorReason::StreamRecycled, ErrorReason::TooManyStreams];
/// How entries of metadata end that name a thing.
const NAMES_OF_THINGS: [&str; 4] = ["_id", "_ids", "name", "label"];

/// Why a call failed, or why there is no text of a run.
///
/// Programs go by the [`reason`](Self::reason), people read the rest:
///
/// ```
/// use letta_grpc::{Error, v1::ErrorReason};
///
/// fn advice(error: &Error) -> String {
///     if error.is(ErrorReason::ConversationBusy) {
///         return format!("wait for {}", error.metadata()["active_run_id"]);
///     }
///     error.to_string()
/// }
///
/// let error = Error::from(letta_grpc::tonic::Status::permission_denied("not yours"));
/// assert_eq!(advice(&error), "not yours (PermissionDenied)");
/// ```
#[derive(Clone)]
pub struct Error(Box<Facts>);

#[derive(Clone, Debug, Default)]
struct Facts {
    code: Option<Code>,
    reason: String,
    message: String,
    metadata: HashMap<String, String>,
    field_violations: Vec<FieldViolation>,
    retry_delay: Option<Duration>,
    run: Option<Run>,
    // Of a call that failed: it holds what broke the connection.
    status: Option<Status>,
    // Why the try before failed.
    cause: Option<Error>,
}

/// A field of a request that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldViolation {
    /// The path of the field: `run.messages`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Error {
    /// The code of the call that failed; `None` where no call did: of a run that failed, or of a stream that was closed.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.code
    }

    /// The server's word for what went wrong, `CONVERSATION_BUSY`; of a run that failed, the run's. Empty where the failure is
    /// not the server's word. A newer server may say what [`ErrorReason`] does not list.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Whether it went wrong for this reason.
    #[must_use]
    pub fn is(&self, reason: ErrorReason) -> bool {
        !self.0.reason.is_empty() && word(reason) == self.0.reason
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Facts for programs, in `snake_case`; [`ErrorReason`] says which.
    #[must_use]
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.0.metadata
    }

    /// What is wrong with the request, field by field.
    #[must_use]
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.0.field_violations
    }

    /// How long the server asks to wait before another try; `None` where it says nothing.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// The run that ended FAILED, where that is the error.
    #[must_use]
    pub fn failed_run(&self) -> Option<&Run> {
        self.0.run.as_ref()
    }

    /// Whether the same call may succeed when it is made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let Some(code) = self.0.code else { return false };
        code == Code::Unavailable
            || PASSING_REASONS.iter().any(|&reason| self.is(reason))
            || (self.0.reason.is_empty() && BROKEN_CONNECTION.contains(&code))
    }

    /// Which agent, run or tool it is about, unless the message says so. Other facts are for programs.
    fn things(&self) -> impl Iterator<Item = String> {
        let ordered: BTreeMap<_, _> = self.0.metadata.iter().collect();
        ordered
            .into_iter()
            .filter(|(name, value)| {
                NAMES_OF_THINGS.iter().any(|ending| name.ends_with(ending)) && !self.0.message.contains(value.as_str())
            })
            .map(|(name, value)| format!("{name}={value}"))
    }

    /// A stream fell silent, left events out or ended too early.
    pub(crate) fn broken(message: impl Into<String>) -> Self {
        Self::of(Some(Code::Unavailable), message)
    }

    pub(crate) fn deadline(limit: Duration) -> Self {
        Self::of(Some(Code::DeadlineExceeded), format!("no end within {limit:?}"))
    }

    /// The end of a time limit as one that says why the try before it failed, if there was one.
    pub(crate) fn after(mut self, last: Option<&Self>) -> Self {
        if let Some(last) = last {
            self.0.message = format!("{}; the try before failed: {last}", self.0.message);
            self.0.cause = Some(last.clone());
        }
        self
    }

    pub(crate) fn closed() -> Self {
        Self::of(None, "the stream ended before the run did")
    }

    pub(crate) fn invalid(what: &str, why: impl fmt::Display) -> Self {
        Self::of(Some(Code::InvalidArgument), format!("{what}: {why}"))
    }

    pub(crate) fn run_failed(run: Run) -> Self {
        let error = run.error.clone().unwrap_or_default();
        Self(Box::new(Facts {
            reason: error.reason,
            message: error.message,
            metadata: error.metadata,
            run: Some(run),
            ..Facts::default()
        }))
    }

    fn of(code: Option<Code>, message: impl Into<String>) -> Self {
        Self(Box::new(Facts { code, message: message.into(), ..Facts::default() }))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let violations = details.bad_request().into_iter().flat_map(|bad| &bad.field_violations);
        Self(Box::new(Facts {
            code: Some(status.code()),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            field_violations: violations
                .map(|one| FieldViolation { field: one.field.clone(), description: one.description.clone() })
                .collect(),
            retry_delay: details.retry_info().and_then(|retry| retry.retry_delay),
            run: None,
            status: Some(status),
            cause: None,
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.0.code {
            _ if !self.0.reason.is_empty() => Some(self.0.reason.clone()),
            code => code.map(|code| format!("{code:?}")),
        };
        let told: Vec<String> = word.into_iter().chain(self.things()).collect();
        out.write_str(&self.0.message)?;
        if told.is_empty() { Ok(()) } else { write!(out, " ({})", told.join(", ")) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Error")
            .field("code", &self.0.code)
            .field("reason", &self.0.reason)
            .field("message", &self.0.message)
            .field("metadata", &self.0.metadata)
            .field("field_violations", &self.0.field_violations)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    /// What broke the connection, where that is the failure: a refused connection, a certificate that nobody trusts.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Some(cause) => Some(cause),
            None => self.0.status.as_ref()?.source(),
        }
    }
}

fn word(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::v1::RunError;
    use tonic_types::{ErrorDetails, FieldViolation as Violation};

    pub(crate) fn refusal(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Error {
        let metadata: HashMap<String, String> = metadata.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        let details = ErrorDetails::with_error_info(reason, "letta-grpc", metadata);
        Status::with_error_details(code, "refused", details).into()
    }

    pub(crate) fn retry_after(code: Code, delay: Duration) -> Error {
        Status::with_error_details(code, "later", ErrorDetails::with_retry_info(Some(delay))).into()
    }

    #[test]
    fn a_refusal_says_its_reason_and_its_facts() {
        let error = refusal(Code::Aborted, "CONVERSATION_BUSY", &[("active_run_id", "run-1"), ("limit", "1")]);
        assert_eq!(error.code(), Some(Code::Aborted));
        assert!(error.is(ErrorReason::ConversationBusy));
        assert!(!error.is(ErrorReason::QueueFull));
        assert_eq!(error.metadata()["active_run_id"], "run-1");
        assert_eq!(error.to_string(), "refused (CONVERSATION_BUSY, active_run_id=run-1)");
    }

    #[test]
    fn an_error_says_which_thing_it_is_about_unless_its_message_does() {
        let told = |message: &str, metadata: &[(&str, &str)]| {
            let metadata = metadata.iter().map(|&(name, value)| (name.into(), value.into())).collect();
            let error = RunError { reason: "WHY".into(), message: message.into(), metadata };
            Error::run_failed(Run { error: Some(error), ..Run::default() }).to_string()
        };
        assert_eq!(
            told("it is busy", &[("conversation_id", "conv-1"), ("active_run_id", "run-1")]),
            "it is busy (WHY, active_run_id=run-1, conversation_id=conv-1)"
        );
        assert_eq!(
            told("it has no such block", &[("label", "human"), ("agent_id", "agent-1")]),
            "it has no such block (WHY, agent_id=agent-1, label=human)"
        );
        assert_eq!(told("the name 'dice' is taken", &[("name", "dice")]), "the name 'dice' is taken (WHY)");
        assert_eq!(told("too many wait", &[("limit", "64"), ("run_id", "")]), "too many wait (WHY)");
    }

    #[test]
    fn an_invalid_request_names_the_fields() {
        let details = ErrorDetails::with_bad_request(vec![Violation::new("run.messages", "is empty")]);
        let error = Error::from(Status::with_error_details(Code::InvalidArgument, "no", details));
        assert_eq!(
            error.field_violations(),
            [FieldViolation { field: "run.messages".into(), description: "is empty".into() }]
        );
    }

    #[test]
    fn the_servers_wait_is_kept() {
        let error = retry_after(Code::Unavailable, Duration::from_millis(1500));
        assert_eq!(error.retry_delay(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn a_reason_of_a_newer_server_is_kept_and_is_none_of_ours() {
        let error = refusal(Code::FailedPrecondition, "NOT_WHILE_DREAMING", &[]);
        assert_eq!(error.reason(), "NOT_WHILE_DREAMING");
        assert!(!error.is(ErrorReason::Unspecified));
        assert!(!error.is_retryable());
    }

    #[test]
    fn garbage_in_the_trailers_leaves_the_status() {
        let details = b"\xff\xff\xff".as_slice().into();
        let error = Error::from(Status::with_details(Code::NotFound, "gone", details));
        assert_eq!((error.code(), error.reason()), (Some(Code::NotFound), ""));
    }

    #[tokio::test]
    async fn what_broke_the_connection_is_the_source() {
        let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let once = crate::RetryPolicy { call_attempts: 1, ..crate::RetryPolicy::default() };
        let error = crate::Client::connect(nowhere).retry(once).await.unwrap().get_run("run-1").await.unwrap_err();
        let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        assert!(
            causes
                .any(|cause| cause.downcast_ref().map(std::io::Error::kind) == Some(std::io::ErrorKind::ConnectionRefused))
        );
    }

    #[test]
    fn without_a_word_of_the_server_a_broken_connection_may_be_tried_again() {
        for code in BROKEN_CONNECTION {
            assert!(Error::from(Status::new(code, "")).is_retryable(), "{code:?}");
            assert!(!refusal(code, "CONVERSATION_BUSY", &[]).is_retryable(), "{code:?}");
        }
        assert!(Error::from(Status::unavailable("")).is_retryable());
        assert!(!Error::from(Status::permission_denied("")).is_retryable());
        assert!(refusal(Code::Aborted, "STREAM_RECYCLED", &[]).is_retryable());
        assert!(refusal(Code::ResourceExhausted, "TOO_MANY_STREAMS", &[]).is_retryable());
        assert!(!refusal(Code::ResourceExhausted, "QUEUE_FULL", &[]).is_retryable());
    }

    #[test]
    fn a_failed_run_is_no_failed_call() {
        let error = RunError { reason: "MODEL_TIMEOUT".into(), message: "too slow".into(), ..RunError::default() };
        let run = Run { id: "run-1".into(), error: Some(error), ..Run::default() };
        let error = Error::run_failed(run);
        assert_eq!(error.code(), None);
        assert!(error.is(ErrorReason::ModelTimeout));
        assert!(!error.is_retryable());
        assert_eq!(error.failed_run().map(|run| run.id.as_str()), Some("run-1"));
        assert_eq!(error.to_string(), "too slow (MODEL_TIMEOUT)");
    }
}
