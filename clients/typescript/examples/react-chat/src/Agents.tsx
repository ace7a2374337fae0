import type { Agent } from "letta-grpc/v1";
import { useEffect, useState } from "react";
import { client } from "./client";

const NEW = { name: "Ada", model: "scripted/demo", toolApprovals: { archival_memory_insert: true } };

/** The agents there are, and a new one. */
export function Agents() {
  const [agents, setAgents] = useState<readonly Agent[]>([]);
  const [error, setError] = useState("");
  const failed = (reason: unknown) => setError(String(reason));

  useEffect(() => {
    const leaving = new AbortController();
    client.agents.listAgents({ descending: true }, { signal: leaving.signal }).then(
      (page) => setAgents(page.agents),
      (reason: unknown) => !leaving.signal.aborted && failed(reason),
    );
    return () => leaving.abort();
  }, []);

  async function create() {
    const { agent } = await client.agents.createAgent({ agent: NEW });
    location.hash = agent!.id;
  }

  return (
    <main>
      <h1>Agents</h1>
      {error && <p role="alert">{error}</p>}
      <ul>
        {agents.map(({ id, name }) => (
          <li key={id}>
            <a href={`#${id}`}>{name || id}</a>
          </li>
        ))}
      </ul>
      <button onClick={() => create().catch(failed)}>New agent</button>
    </main>
  );
}
