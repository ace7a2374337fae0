"""What holds for agents."""

REQUIREMENTS = {
    "agent_kept": "An agent, its memory and its messages are read as they were written, also by the next server.",
    "agent_update": "An update changes what its mask names and nothing else.",
    "agent_context": "GetContext shows what the model is sent next, to the letter.",
    "agent_reset": "ResetMessages empties a conversation and its context, unless a run is at work in it or calls wait.",
    "agent_delete": "A deleted agent is gone with its conversations, messages and runs; its blocks stay.",
}
