// For React 18 or newer.

export { AgentSession, type AgentStreamState, type Which } from "./react/session.js";
export { type AgentStream, type AgentStreamOptions, useAgentStream } from "./react/use_agent_stream.js";
