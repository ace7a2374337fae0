"""What holds for an agent's threads."""

REQUIREMENTS = {
    "conversation_default": "The default conversation always exists, and is meant where none is named.",
    "conversation_separate": "A conversation has a history of its own, and is not busy with another one's run.",
}
