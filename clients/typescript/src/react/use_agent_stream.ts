// The hook.

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Client } from "../client.js";
import { AgentSession, type AgentStreamState } from "./session.js";

export interface AgentStreamOptions {
  client: Client;
  agentId: string;
  /** Without it the agent's default conversation. */
  conversationId?: string;
}

/** What the hook gives: how the turn stands, and what can be done. The functions stay the same from render to render. */
export type AgentStream = AgentStreamState & Pick<AgentSession, "send" | "attach" | "stop" | "approve" | "deny" | "answer">;

/**
 * Talk to an agent.
 *
 *     const { response, isStreaming, send, stop, pending, approve } = useAgentStream({ client, agentId });
 *
 * Make the client once, outside of components. Unmounting, or another agent, ends the reading and not the run: `attach` finds it
 * again.
 */
export function useAgentStream({ client, agentId, conversationId }: AgentStreamOptions): AgentStream {
  const [held, hold] = useState(() => new AgentSession(client, agentId, conversationId));
  const isSame = held.client === client && held.agentId === agentId && held.conversationId === conversationId;
  const session = isSame ? held : new AgentSession(client, agentId, conversationId);
  if (!isSame) hold(session);
  const state = useSyncExternalStore(session.subscribe, session.getState, session.getState);
  // Under StrictMode it is left once right after mounting, when there is nothing to leave.
  useEffect(() => session.leave, [session]);
  return useMemo(() => {
    const { send, attach, stop, approve, deny, answer } = session;
    return { ...state, send, attach, stop, approve, deny, answer };
  }, [session, state]);
}
