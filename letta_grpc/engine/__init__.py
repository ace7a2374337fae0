"""Use cases and the agent loop."""
