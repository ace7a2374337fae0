//! What an agent is told.

use crate::v1::{InputMessage, UserInput, input_message, user_input};

/// The input of a run: what a person says as plain text, or messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input(pub(crate) Vec<InputMessage>);

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        let body = Some(user_input::Body::Text(text));
        Self(vec![input_message::Kind::User(UserInput { body }).into()])
    }
}

impl From<InputMessage> for Input {
    fn from(message: InputMessage) -> Self {
        Self(vec![message])
    }
}

impl From<Vec<InputMessage>> for Input {
    fn from(messages: Vec<InputMessage>) -> Self {
        Self(messages)
    }
}

impl From<input_message::Kind> for InputMessage {
    fn from(kind: input_message::Kind) -> Self {
        Self { kind: Some(kind), otid: None }
    }
}
