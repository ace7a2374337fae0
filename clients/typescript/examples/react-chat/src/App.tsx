import { useSyncExternalStore } from "react";
import { Agents } from "./Agents";
import { Chat } from "./Chat";

/** The agent is in the URL: `#agent-…`. */
export function App() {
  const agentId = useSyncExternalStore(subscribe, () => location.hash.slice(1));
  if (!agentId) return <Agents />;
  return (
    <>
      <a href="#">All agents</a>
      <Chat key={agentId} agentId={agentId} />
    </>
  );
}

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}
