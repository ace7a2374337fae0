//! Answers to tool calls that wait.

use std::fmt::Display;

use crate::v1::{
    ApprovalInput, Approve, Decision, Deny, InputMessage, ToolReturn, ToolReturnStatus, ToolReturnsInput, decision,
    input_message, tool_return,
};

/// An answer to a call that waits; see [`Client::answer`](crate::Client::answer).
///
/// ```
/// use letta_grpc::Answer;
///
/// Answer::approve();
/// Answer::approve_with(r#"{"to": "Bob"}"#);
/// Answer::deny("not today");
/// Answer::tool_return("sunny");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Answer(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Approve(Approve),
    Deny(Deny),
    Return(ToolReturn),
}

impl Answer {
    /// Lets a call run as the model wrote it.
    #[must_use]
    pub fn approve() -> Self {
        Self(Kind::Approve(Approve { arguments: None }))
    }

    /// Lets a call run with these arguments: JSON as text, or a `serde_json::Value`.
    #[must_use]
    pub fn approve_with(arguments: impl Display) -> Self {
        Self(Kind::Approve(Approve { arguments: Some(arguments.to_string()) }))
    }

    /// Does not let a call run; the model is told why.
    #[must_use]
    pub fn deny(reason: impl Into<String>) -> Self {
        Self(Kind::Deny(Deny { reason: reason.into() }))
    }

    /// Says what a tool gave that ran here.
    #[must_use]
    pub fn tool_return(text: impl Into<String>) -> Self {
        Self::returned(ToolReturnStatus::Success, text.into())
    }

    /// Says why a tool failed that ran here; the model is told.
    #[must_use]
    pub fn tool_error(text: impl Into<String>) -> Self {
        Self::returned(ToolReturnStatus::Error, text.into())
    }

    fn returned(status: ToolReturnStatus, text: String) -> Self {
        ToolReturn { status: status.into(), body: Some(tool_return::Body::Text(text)), ..ToolReturn::default() }.into()
    }
}

/// A return with more than text: content, output. It need not name its call.
impl From<ToolReturn> for Answer {
    fn from(returned: ToolReturn) -> Self {
        Self(Kind::Return(returned))
    }
}

/// Returns answers as input: the decisions, then the returns, each in the order given.
pub(crate) fn messages(answers: impl IntoIterator<Item = (String, Answer)>) -> Vec<InputMessage> {
    let mut decisions = Vec::new();
    let mut returns = Vec::new();
    for (tool_call_id, Answer(kind)) in answers {
        let kind = match kind {
            Kind::Approve(approve) => decision::Kind::Approve(approve),
            Kind::Deny(deny) => decision::Kind::Deny(deny),
            Kind::Return(returned) => {
                returns.push(ToolReturn { tool_call_id, ..returned });
                continue;
            }
        };
        decisions.push(Decision { tool_call_id, kind: Some(kind) });
    }
    let decided = (!decisions.is_empty()).then_some(input_message::Kind::Approval(ApprovalInput { decisions }));
    let given = (!returns.is_empty()).then_some(input_message::Kind::ToolReturns(ToolReturnsInput { returns }));
    [decided, given].into_iter().flatten().map(InputMessage::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_come_before_returns_each_in_the_order_given() {
        let answers = [
            ("call-3".to_owned(), Answer::tool_return("sunny")),
            ("call-1".to_owned(), Answer::approve()),
            ("call-2".to_owned(), Answer::deny("no")),
        ];
        let [decided, given] = &messages(answers)[..] else { panic!("expected two messages") };
        let Some(input_message::Kind::Approval(approval)) = &decided.kind else { panic!("expected decisions") };
        let calls: Vec<&str> = approval.decisions.iter().map(|one| one.tool_call_id.as_str()).collect();
        assert_eq!(calls, ["call-1", "call-2"]);
        let Some(input_message::Kind::ToolReturns(input)) = &given.kind else { panic!("expected returns") };
        assert_eq!(input.returns[0].tool_call_id, "call-3");
        assert_eq!(input.returns[0].status(), ToolReturnStatus::Success);
    }

    #[test]
    fn without_returns_there_is_one_message() {
        assert_eq!(messages([("call-1".to_owned(), Answer::approve())]).len(), 1);
    }

    #[test]
    fn arguments_are_text_or_a_value() {
        let value = serde_json::json!({"to": "Bob"});
        assert_eq!(Answer::approve_with(value), Answer::approve_with(r#"{"to":"Bob"}"#));
    }

    #[test]
    fn a_tool_that_failed_says_so() {
        let Answer(Kind::Return(returned)) = Answer::tool_error("no sensor") else { panic!("expected a return") };
        assert_eq!(returned.status(), ToolReturnStatus::Error);
    }
}
