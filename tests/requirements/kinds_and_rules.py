"""What is promised of how agents speak, and of rules about their tools."""

REQUIREMENTS = {
    "memgpt_streams": "What a memgpt agent says and thinks is streamed while its call is still being written.",
    "memgpt_keeps": "What was streamed of a memgpt agent is what is kept, under the same ids, each call with its return.",
    "memgpt_heartbeat": "A memgpt agent's turn goes on after a call that failed or asked for it, and ends after any other.",
    "rules_refuse": "A call that breaks a rule does not run: its error return says what may be called, and the turn goes on.",
    "rules_end": "A turn ends when a rule says so, and not before what a rule requires was called.",
    "tool_choice": "A start may say which tools the model has to call first, one of them; as far as the agent's rules allow.",
    "rules_span_answers": "A run that answers waiting calls goes on with their turn: rules count the calls of both.",
}
