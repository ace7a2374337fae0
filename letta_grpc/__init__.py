"""A gRPC streaming server for stateful LLM agents, and its client."""
