//! The conformance program: `conformance [--impatient] TARGET`, tasks on stdin, one JSON line for each on stdout.
//!
//! `--impatient` drops every `next()` that is not ready at once, and asks again: a stream must lose nothing by that.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Duration;

use letta_grpc::tonic::Code;
use letta_grpc::v1::{Run, StreamOptions};
use letta_grpc::{Answer, Client, Error, Event, Payload, Result, RetryPolicy, RunStream};
use serde_json::{Value, json};

const KEY: &str = "conformance-key";
const DEADLINE: Duration = Duration::from_secs(1);

struct Program {
    quick: Client,
    patient: Client,
    impatient: bool,
}

impl Program {
    async fn new(target: &str, impatient: bool) -> Result<Self> {
        let quick =
            RetryPolicy { initial: Duration::from_millis(10), maximum: Duration::from_millis(50), ..RetryPolicy::default() };
        let patient = RetryPolicy {
            initial: Duration::from_millis(50),
            maximum: Duration::from_millis(500),
            stream_attempts: 1000,
            call_attempts: 1000,
            ..quick
        };
        let connect = Client::connect(target).api_key(KEY);
        Ok(Self { quick: connect.clone().retry(quick).await?, patient: connect.retry(patient).await?, impatient })
    }

    /// Does what the task says; returns what was seen.
    async fn perform(&self, task: &Value) -> Value {
        let action = text(task, "do");
        let client = if task["patient"] == true { &self.patient } else { &self.quick };
        let options = options(task);
        let opened = if action == "attach" {
            let attach = client.attach(text(task, "run_id")).after(number(task, "after"));
            attach.options(options.clone()).stream().await
        } else {
            let say = task["text"].as_str().unwrap_or("hello");
            let mut run = client.run(text(task, "case"), say).options(options.clone());
            if action == "deadline" {
                run = run.deadline(DEADLINE);
            }
            run.stream().await
        };
        let mut seen = self.follow(opened, action).await;
        if let (Some(answer), Some(run)) = (answer(action), &seen.run) {
            let answers: Vec<_> = seen.pending.iter().map(|call| (call, answer.clone())).collect();
            let answering = client.answer(run, answers).options(options).stream().await;
            seen = Seen { pending: seen.pending, ..self.follow(answering, "stream").await };
        }
        seen.printed(text(task, "case"))
    }

    /// Reads a stream as far as the action goes.
    async fn follow(&self, opened: Result<RunStream>, action: &str) -> Seen {
        let mut seen = Seen::default();
        match opened {
            Ok(mut stream) => {
                seen.error = self.read(&mut stream, action, &mut seen.events).await.err();
                if seen.error.is_none() && action != "close" {
                    seen.run = stream.final_run().await.map_err(|error| seen.error = Some(error)).ok();
                }
                seen.text = stream.so_far().text();
                seen.pending = stream.pending_actions().iter().map(|call| call.tool_call_id.clone()).collect();
            }
            Err(error) => seen.error = Some(error),
        }
        seen
    }

    async fn read(&self, stream: &mut RunStream, action: &str, events: &mut Vec<i32>) -> Result<()> {
        while let Some(event) = self.next(stream).await {
            let event = event?;
            events.push(event.sequence_number);
            match (&event.payload, action) {
                (Some(Payload::TextDelta(_)), "cancel") => drop(stream.cancel().await?),
                (Some(Payload::TextDelta(_)), "close") => stream.close(),
                _ => {}
            }
        }
        Ok(())
    }

    async fn next(&self, stream: &mut RunStream) -> Option<Result<Event>> {
        loop {
            tokio::select! {
                biased;
                event = stream.next() => return event,
                () = tokio::task::yield_now(), if self.impatient => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

#[derive(Default)]
struct Seen {
    events: Vec<i32>,
    text: String,
    run: Option<Run>,
    error: Option<Error>,
    pending: Vec<String>,
}

impl Seen {
    fn printed(&self, case: &str) -> Value {
        let state = self.run.as_ref().map(|run| run.state().as_str_name().trim_start_matches("RUN_STATE_"));
        json!({
            "case": case,
            "events": self.events,
            "text": self.text,
            "state": state,
            "error": self.error.as_ref().map(printed_error).or_else(|| self.run.as_ref().and_then(run_error)),
            "pending": self.pending,
        })
    }
}

fn printed_error(error: &Error) -> Value {
    let fields: HashMap<_, _> = error.field_violations().iter().map(|one| (&one.field, &one.description)).collect();
    json!({
        "code": error.code().map(name).unwrap_or_default(),
        "reason": error.reason(),
        "metadata": error.metadata(),
        "fields": fields,
    })
}

fn run_error(run: &Run) -> Option<Value> {
    let error = run.error.as_ref()?;
    Some(json!({"code": "", "reason": error.reason, "metadata": error.metadata, "fields": {}}))
}

/// `NotFound` is `NOT_FOUND` in every other language.
fn name(code: Code) -> String {
    let words = format!("{code:?}");
    let word = |(place, letter): (usize, char)| {
        let join = if letter.is_uppercase() && place > 0 { "_" } else { "" };
        format!("{join}{}", letter.to_ascii_uppercase())
    };
    words.chars().enumerate().map(word).collect()
}

fn options(task: &Value) -> StreamOptions {
    let heartbeat = Duration::from_secs_f64(task["heartbeat_seconds"].as_f64().unwrap_or_default());
    StreamOptions {
        omit_deltas: task["omit_deltas"] == true,
        heartbeat_interval: heartbeat.try_into().ok(),
        ..StreamOptions::default()
    }
}

fn answer(action: &str) -> Option<Answer> {
    match action {
        "approve" => Some(Answer::approve()),
        "edit" => Some(Answer::approve_with(r#"{"to": "Bob"}"#)),
        "deny" => Some(Answer::deny("not today")),
        "return" => Some(Answer::tool_return("sunny")),
        _ => None,
    }
}

fn text<'a>(task: &'a Value, name: &str) -> &'a str {
    task[name].as_str().unwrap_or_default()
}

fn number(task: &Value, name: &str) -> i32 {
    task[name].as_i64().and_then(|number| number.try_into().ok()).unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let target = arguments.pop().ok_or("usage: conformance [--impatient] TARGET")?;
    let program = Program::new(&target, arguments.contains(&"--impatient".to_owned())).await?;
    let mut tasks = std::io::stdin().lock().lines();
    // Between two tasks nothing of ours has to run, so waiting for a line may block.
    while let Some(line) = tasks.next().transpose()? {
        println!("{}", program.perform(&serde_json::from_str(&line)?).await);
        std::io::stdout().flush()?;
    }
    Ok(())
}
