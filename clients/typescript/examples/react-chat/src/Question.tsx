import type { PendingAction } from "letta-grpc";

interface Props {
  action: PendingAction;
  onApprove: () => void;
  onDeny: (reason: string) => void;
}

/** A tool call that waits for a person. */
export function Question({ action, onApprove, onDeny }: Props) {
  return (
    <section aria-label={`May ${action.name} run?`}>
      <strong>{action.name}</strong> <code>{action.arguments}</code>
      <button onClick={onApprove}>Approve</button>
      <button onClick={() => onDeny("The person said no.")}>Deny</button>
    </section>
  );
}
