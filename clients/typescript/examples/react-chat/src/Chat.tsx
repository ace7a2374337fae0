import { useAgentStream } from "letta-grpc/react";
import { type FormEvent, useState } from "react";
import { client } from "./client";
import { Question } from "./Question";

interface Turn {
  readonly said: string;
  readonly answered: string;
}

/** A conversation with one agent, from now on. */
export function Chat({ agentId }: { agentId: string }) {
  const { response, events, isStreaming, error, pending, send, stop, approve, deny } = useAgentStream({ client, agentId });
  const [past, setPast] = useState<readonly Turn[]>([]);
  const [said, setSaid] = useState("");
  const [draft, setDraft] = useState("");

  function submit(event: FormEvent) {
    event.preventDefault();
    if (isStreaming || !draft) return;
    if (said) setPast([...past, { said, answered: response }]);
    setSaid(draft);
    setDraft("");
    void send(draft);
  }

  return (
    <main aria-busy={isStreaming}>
      <ol aria-live="polite">
        {past.map((turn, index) => (
          <Said key={index} {...turn} />
        ))}
        {said && <Said said={said} answered={response} />}
      </ol>
      {pending.map((action) => (
        <Question
          key={action.toolCallId}
          action={action}
          onApprove={() => approve({ toolCallId: action.toolCallId })}
          onDeny={(reason) => deny({ toolCallId: action.toolCallId, reason })}
        />
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={submit}>
        <input aria-label="Message" value={draft} onChange={(event) => setDraft(event.target.value)} autoFocus />
        {isStreaming ? (
          <button key="stop" type="button" onClick={stop}>
            Stop
          </button>
        ) : (
          <button key="send">Send</button>
        )}
      </form>
      <footer>{events.length} events</footer>
    </main>
  );
}

function Said({ said, answered }: Turn) {
  return (
    <li>
      <p className="person">{said}</p>
      <p className="agent">{answered}</p>
    </li>
  );
}
