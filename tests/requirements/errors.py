"""What a caller is told when something is wrong, and what is never lost by it."""

REQUIREMENTS = {
    "refusal_unknown_agent": "A start for an agent that does not exist is NOT_FOUND and names it.",
    "refusal_unknown_conversation": "A conversation that does not exist, or is another agent's, is NOT_FOUND and named.",
    "refusal_invalid_input": "Input that breaks a rule is refused with the field's path and the rule, and claims nothing.",
    "refusal_oversize": "A request beyond the limit is told its size and the limit, and claims nothing.",
    "refusal_malformed_id": "A malformed id is told the shape of a good one.",
    "refusal_reused_request_id": "A request id used for another payload names the run that it stands for.",
    "refusal_unknown_model": "A model or provider that is not configured is told the configured ones.",
    "refusal_busy": "A busy conversation names the run that it is busy with; that run goes on.",
    "position_wrong": "A position before the first, beyond the last or no longer kept is told what there is.",
    "credentials": "Without a key, or with a wrong one, nothing is told but that.",
    "model_failure": "A model that refuses, talks nonsense or stops half-way fails the run with its reason, never the call.",
    "model_failure_keeps": "After a failed run the input and what the model had said are kept, and the conversation goes on.",
    "tool_arguments": "Tool arguments that are not JSON become an error return that the model is told, and the run goes on.",
    "error_facts": "Every reason comes with its code and with the metadata that errors.proto lists.",
    "sizes": "No response is larger than what clients take by default, unless the server is told to: pages get shorter.",
}
