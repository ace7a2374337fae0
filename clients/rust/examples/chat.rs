use letta_grpc::{Answer, Client, Payload, Result, v1::Agent};

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::from_env().await?;
    let agent = Agent {
        name: "ada".into(),
        model: "scripted/demo".into(),
        tool_approvals: [("archival_memory_insert".into(), true)].into(),
        ..Agent::default()
    };
    let ada = client.create_agent(agent).await?;

    let mut run = client.run(&ada.id, "Good morning!").stream().await?;
    while let Some(event) = run.next().await {
        match event?.payload {
            Some(Payload::TextDelta(delta)) => print!("{}", delta.text),
            Some(Payload::RunFinished(_)) => println!(),
            _ => {} // reasoning, tool calls, …
        }
    }

    // A stream can be left, and taken up again in another process.
    let mut again = client.attach(run.run_id()).after(4).stream().await?;
    println!("{:?}", again.final_run().await?.state());

    // A run that waits for decisions, or for tools of yours, is answered by a new run.
    let request = r#"Please run archival_memory_insert with {"text": "Rome is warm."}"#;
    let waiting = client.run(&ada.id, request).stream().await?.final_run().await?;
    let answers = waiting.pending_actions.iter().map(|call| (&call.tool_call_id, Answer::approve()));
    println!("{}", client.answer(&waiting, answers).stream().await?.text().await?);
    Ok(())
}
