//! From events to messages: what a run has said so far.

use std::collections::{BTreeMap, HashMap};

use crate::v1::{
    ChildRunStarted, ContentPart, ContextCompacted, Message, OutputStream, PendingAction, Role, Run, RunEvent, ToolCall,
    ToolCallDelta, ToolOutputDelta, ToolReturn, content_part, run_event::Payload,
};

/// Folds events, each given once and in order.
///
/// A completed message replaces its deltas; a restarted step takes back what its void messages had said.
///
/// ```
/// use letta_grpc::{Accumulator, v1::{RunEvent, TextDelta, run_event::Payload}};
///
/// let mut so_far = Accumulator::default();
/// for text in ["Hel", "lo"] {
///     let delta = TextDelta { message_id: "message-1".into(), text: text.into(), ..Default::default() };
///     so_far.add(&RunEvent { payload: Some(Payload::TextDelta(delta)), ..Default::default() });
/// }
/// assert_eq!(so_far.drafts().next().unwrap().text(), "Hello");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    run: Option<Run>,
    asked: Vec<PendingAction>,
    tool_returns: HashMap<String, ToolReturn>,
    tool_output: HashMap<String, ToolOutput>,
    compactions: Vec<ContextCompacted>,
    child_runs: Vec<ChildRunStarted>,
    // In the order of their first sign of life: an unfinished message keeps its place when it is completed.
    messages: Vec<(String, Entry)>,
}

/// What a tool has written up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolOutput {
    /// To its standard output.
    pub stdout: String,
    /// To its standard error.
    pub stderr: String,
}

#[derive(Clone, Debug)]
enum Entry {
    Draft(Draft),
    Done(Message),
}

#[derive(Clone, Debug)]
struct Draft {
    role: i32,
    text: BTreeMap<i32, String>,
    reasoning: String,
    calls: BTreeMap<i32, ToolCall>,
}

impl Default for Draft {
    fn default() -> Self {
        Self { role: Role::Assistant.into(), text: BTreeMap::new(), reasoning: String::new(), calls: BTreeMap::new() }
    }
}

impl Draft {
    fn as_message(&self, id: &str) -> Message {
        let reasoning = Some(&self.reasoning).filter(|text| !text.is_empty());
        let parts = reasoning
            .map(|text| content_part::Kind::Reasoning(text.clone()))
            .into_iter()
            .chain(self.text.values().map(|text| content_part::Kind::Text(text.clone())));
        Message {
            id: id.to_owned(),
            role: self.role,
            content: parts.map(|kind| ContentPart { kind: Some(kind), ..ContentPart::default() }).collect(),
            tool_calls: self.calls.values().cloned().collect(),
            ..Message::default()
        }
    }
}

impl Accumulator {
    /// The run as the newest event tells it; `None` before the first.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// The completed messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter_map(|(_, entry)| match entry {
            Entry::Done(message) => Some(message),
            Entry::Draft(_) => None,
        })
    }

    /// What is being written, as far as it has come.
    pub fn drafts(&self) -> impl Iterator<Item = Message> {
        self.messages.iter().filter_map(|(id, entry)| match entry {
            Entry::Draft(draft) => Some(draft.as_message(id)),
            Entry::Done(_) => None,
        })
    }

    /// The calls of the completed messages, in order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.messages().flat_map(|message| &message.tool_calls)
    }

    /// What tools gave, by call.
    #[must_use]
    pub fn tool_returns(&self) -> &HashMap<String, ToolReturn> {
        &self.tool_returns
    }

    /// What tools have written, by call. A tool that another server runs once more begins with nothing.
    #[must_use]
    pub fn tool_output(&self) -> &HashMap<String, ToolOutput> {
        &self.tool_output
    }

    /// What left the context.
    #[must_use]
    pub fn compactions(&self) -> &[ContextCompacted] {
        &self.compactions
    }

    /// The runs that tools have started.
    #[must_use]
    pub fn child_runs(&self) -> &[ChildRunStarted] {
        &self.child_runs
    }

    /// The calls for whose answers the run ended, or is about to end.
    #[must_use]
    pub fn pending_actions(&self) -> &[PendingAction] {
        match &self.run {
            Some(run) if self.asked.is_empty() => &run.pending_actions,
            _ => &self.asked,
        }
    }

    /// The texts of the completed assistant messages that have any, in order, with a blank line between them.
    #[must_use]
    pub fn text(&self) -> String {
        let spoken = self.messages().filter(|message| message.role() == Role::Assistant);
        let texts: Vec<String> = spoken.map(Message::text).filter(|text| !text.is_empty()).collect();
        texts.join("\n\n")
    }

    /// Folds the next event in. Kinds without a meaning for messages, unknown ones too, change nothing.
    pub fn add(&mut self, event: &RunEvent) {
        let Some(payload) = &event.payload else { return };
        match payload {
            Payload::TextDelta(delta) => self.write(&delta.message_id, |draft| {
                draft.text.entry(delta.content_index).or_default().push_str(&delta.text);
            }),
            Payload::ReasoningDelta(delta) => {
                self.write(&delta.message_id, |draft| draft.reasoning.push_str(&delta.text));
            }
            Payload::ToolCallDelta(delta) => self.add_arguments(delta),
            Payload::MessageStarted(started) => self.write(&started.message_id, |draft| draft.role = started.role),
            Payload::MessageCompleted(completed) => self.complete(completed.message.clone().unwrap_or_default()),
            Payload::StepRestarted(restarted) => {
                self.messages.retain(|(id, _)| !restarted.void_message_ids.contains(id));
            }
            Payload::ToolExecutionStarted(started) => {
                self.tool_output.insert(started.tool_call_id.clone(), ToolOutput::default());
            }
            Payload::ToolOutputDelta(delta) => self.add_output(delta),
            Payload::ToolReturn(returned) => {
                self.tool_returns.insert(returned.tool_call_id.clone(), returned.clone());
            }
            Payload::ChildRunStarted(child) => self.child_runs.push(child.clone()),
            Payload::RunStarted(started) => self.begin(started.run.clone()),
            Payload::RunFinished(finished) => self.run.clone_from(&finished.run),
            Payload::ApprovalRequest(request) => self.asked.clone_from(&request.actions),
            Payload::ContextCompacted(compacted) => self.compactions.push(compacted.clone()),
            Payload::StepStarted(_) | Payload::StepCompleted(_) | Payload::Custom(_) | Payload::Heartbeat(_) => {}
        }
    }

    /// Takes the run from another source than the stream.
    pub(crate) fn set_run(&mut self, run: Run) {
        self.run = Some(run);
    }

    /// The next run of a turn, if this one's events are folded in too: what was asked before has its answer.
    fn begin(&mut self, run: Option<Run>) {
        self.run = run;
        self.asked.clear();
    }

    fn complete(&mut self, message: Message) {
        let id = message.id.clone();
        *self.entry(&id) = Entry::Done(message);
    }

    fn entry(&mut self, id: &str) -> &mut Entry {
        // From behind: what is being written is at the end.
        let place = self.messages.iter().rposition(|(known, _)| known == id).unwrap_or_else(|| {
            self.messages.push((id.to_owned(), Entry::Draft(Draft::default())));
            self.messages.len() - 1
        });
        &mut self.messages[place].1
    }

    fn write(&mut self, id: &str, change: impl FnOnce(&mut Draft)) {
        // A delta behind its completed message has nothing to add.
        if let Entry::Draft(draft) = self.entry(id) {
            change(draft);
        }
    }

    fn add_arguments(&mut self, delta: &ToolCallDelta) {
        self.write(&delta.message_id, |draft| {
            let call = draft.calls.entry(delta.call_index).or_insert_with(|| ToolCall {
                id: delta.tool_call_id.clone(),
                name: delta.name.clone(),
                ..ToolCall::default()
            });
            call.arguments.push_str(&delta.arguments);
        });
    }

    fn add_output(&mut self, delta: &ToolOutputDelta) {
        let output = self.tool_output.entry(delta.tool_call_id.clone()).or_default();
        match delta.stream() {
            OutputStream::Stderr => output.stderr.push_str(&delta.text),
            OutputStream::Stdout | OutputStream::Unspecified => output.stdout.push_str(&delta.text),
        }
    }
}

impl Message {
    /// The plain text, without reasoning.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.content.iter().filter_map(|part| match &part.kind {
            Some(content_part::Kind::Text(text)) => Some(text.as_str()),
            _ => None,
        });
        text.collect()
    }
}

impl RunEvent {
    /// The text that this event adds to a message; empty for every other kind.
    #[must_use]
    pub fn text_delta(&self) -> &str {
        match &self.payload {
            Some(Payload::TextDelta(delta)) => &delta.text,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{
        ApprovalRequest, MessageCompleted, MessageStarted, RunFinished, RunStarted, StepRestarted, TextDelta,
        ToolExecutionStarted,
    };

    fn fold(payloads: impl IntoIterator<Item = Payload>) -> Accumulator {
        let mut so_far = Accumulator::default();
        for payload in payloads {
            so_far.add(&RunEvent { payload: Some(payload), ..RunEvent::default() });
        }
        so_far
    }

    fn started(id: &str, role: Role) -> Payload {
        Payload::MessageStarted(MessageStarted { message_id: id.into(), role: role.into(), ..MessageStarted::default() })
    }

    fn delta(id: &str, text: &str) -> Payload {
        Payload::TextDelta(TextDelta { message_id: id.into(), text: text.into(), ..TextDelta::default() })
    }

    fn completed(id: &str, role: Role, text: &str) -> Payload {
        let kind = Some(content_part::Kind::Text(text.into()));
        let message = Message {
            id: id.into(),
            role: role.into(),
            content: vec![ContentPart { kind, ..ContentPart::default() }],
            ..Message::default()
        };
        Payload::MessageCompleted(MessageCompleted { message: Some(message), ..MessageCompleted::default() })
    }

    fn call(id: &str, arguments: &str) -> Payload {
        Payload::ToolCallDelta(ToolCallDelta {
            message_id: id.into(),
            tool_call_id: "call-1".into(),
            name: "send".into(),
            arguments: arguments.into(),
            ..ToolCallDelta::default()
        })
    }

    fn output(stream: OutputStream, text: &str) -> Payload {
        Payload::ToolOutputDelta(ToolOutputDelta { tool_call_id: "call-1".into(), stream: stream.into(), text: text.into() })
    }

    fn waiting() -> Vec<PendingAction> {
        vec![PendingAction { tool_call_id: "call-1".into(), ..PendingAction::default() }]
    }

    #[test]
    fn a_completed_message_replaces_its_deltas_and_keeps_its_place() {
        let so_far = fold([
            delta("m-1", "Fir"),
            delta("m-2", "Sec"),
            completed("m-2", Role::Assistant, "Second."),
            completed("m-1", Role::Assistant, "First."),
            delta("m-1", "late"),
        ]);
        assert_eq!(so_far.text(), "First.\n\nSecond.");
        assert_eq!(so_far.drafts().count(), 0);
    }

    #[test]
    fn only_the_assistants_words_are_text() {
        let so_far = fold([completed("m-1", Role::Tool, "42"), completed("m-2", Role::Assistant, "")]);
        assert_eq!(so_far.text(), "");
        assert_eq!(so_far.messages().count(), 2);
    }

    #[test]
    fn a_restarted_step_takes_back_what_its_void_messages_said() {
        let void_message_ids = vec!["m-1".to_owned()];
        let restarted = Payload::StepRestarted(StepRestarted { void_message_ids, ..StepRestarted::default() });
        let so_far = fold([delta("m-1", "Good mor"), restarted, delta("m-2", "Good evening")]);
        let drafts: Vec<String> = so_far.drafts().map(|draft| draft.text()).collect();
        assert_eq!(drafts, ["Good evening"]);
    }

    #[test]
    fn a_draft_has_its_role_and_its_calls() {
        let so_far = fold([started("m-1", Role::Approval), call("m-1", r#"{"to":"#), call("m-1", r#""Ann"}"#)]);
        let draft = so_far.drafts().next().unwrap();
        assert_eq!(draft.role(), Role::Approval);
        assert_eq!(draft.tool_calls[0].arguments, r#"{"to":"Ann"}"#);
    }

    #[test]
    fn a_tool_that_runs_again_begins_with_nothing() {
        let begins = || Payload::ToolExecutionStarted(ToolExecutionStarted { tool_call_id: "call-1".into() });
        let so_far = fold([begins(), output(OutputStream::Stdout, "half"), begins(), output(OutputStream::Stderr, "oh")]);
        assert_eq!(so_far.tool_output()["call-1"], ToolOutput { stdout: String::new(), stderr: "oh".into() });
    }

    #[test]
    fn calls_wait_from_the_request_on_and_until_the_next_run() {
        let request = Payload::ApprovalRequest(ApprovalRequest { actions: waiting() });
        assert_eq!(fold([request.clone()]).pending_actions(), waiting());
        let next = Payload::RunStarted(RunStarted { run: Some(Run::default()) });
        assert_eq!(fold([request, next]).pending_actions(), []);
    }

    #[test]
    fn without_the_request_the_end_of_the_run_says_what_waits() {
        let run = Run { pending_actions: waiting(), ..Run::default() };
        let so_far = fold([Payload::RunFinished(RunFinished { run: Some(run) })]);
        assert_eq!(so_far.pending_actions(), waiting());
    }

    #[test]
    fn a_kind_that_nobody_knows_changes_nothing() {
        let mut so_far = fold([completed("m-1", Role::Assistant, "Hi")]);
        so_far.add(&RunEvent::default());
        assert_eq!(so_far.text(), "Hi");
    }
}
