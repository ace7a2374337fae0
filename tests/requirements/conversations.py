"""What holds for an agent's threads."""

REQUIREMENTS = {
    "conversation_default": "The default conversation always exists, and is meant where none is named.",
    "conversation_separate": "A conversation has a history of its own, and is not busy with another one's run.",
    "conversation_compact": "CompactConversation and CompactAgent summarise older messages by a run; history keeps all.",
    "conversation_fork": "ForkConversation copies history and context, whole, into a conversation that goes on by itself.",
    "conversation_overflow": "A context that became too long is compacted, and the run goes on; if that is not enough it ends"
    " as CONTEXT_OVERFLOW, and the next run works.",
}
