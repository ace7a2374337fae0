// The conformance program of the TypeScript client: `main.js [--http] TARGET`, tasks on stdin, one line of JSON for each on
// stdout. With --http it puts the gateway in front of the target, and speaks to that, as a page does.

import { createInterface } from "node:readline";
import { approve, type Answer, type Client, deny, LettaError, RunState, type RunStream, toolReturn } from "letta-grpc";
import * as node from "letta-grpc/node";
import * as web from "letta-grpc/web";
import { start } from "../test/support/processes.js";

interface Task {
  case: string;
  do: string;
  heartbeat_seconds: number;
  omit_deltas?: boolean;
  run_id: string;
  after: number;
  text?: string;
  patient?: boolean;
}

interface Printed {
  events: number[];
  text: string;
  state: string | null;
  error: { code: string; reason: string; metadata: object; fields: object } | null;
  pending: string[];
}

const KEY = "conformance-key";
// As patient as by default, and quicker.
const QUICK = { initialMs: 10, maximumMs: 50 };
const PATIENT = { initialMs: 50, maximumMs: 500, streamAttempts: 1000, callAttempts: 1000 };
const ANSWERS: Readonly<Record<string, Answer>> = {
  approve: approve(),
  edit: approve('{"to": "Bob"}'),
  deny: deny("not today"),
  return: toolReturn("sunny"),
};
const DEADLINE_MS = 1_000;

async function perform(client: Client, task: Task): Promise<Printed> {
  const reading = {
    heartbeatMs: task.heartbeat_seconds * 1_000,
    omitDeltas: task.omit_deltas ?? false,
    ...(task.do === "deadline" && { timeoutMs: DEADLINE_MS }),
  };
  const stream =
    task.do === "attach"
      ? client.attach(task.run_id, { after: task.after, ...reading })
      : client.stream(task.case, task.text ?? "hello", reading);
  const printed = await follow(stream, task.do);
  const answer = ANSWERS[task.do];
  if (!answer) return printed;
  const answers = Object.fromEntries(printed.pending.map((id) => [id, answer]));
  const answering = client.answer(await stream.final(), answers, reading);
  return { ...(await follow(answering, "stream")), pending: printed.pending };
}

async function follow(stream: RunStream, action: string): Promise<Printed> {
  const events: number[] = [];
  const printed = (rest: Pick<Printed, "state" | "error">): Printed => ({
    events,
    text: stream.soFar.text,
    pending: stream.pendingActions.map(({ toolCallId }) => toolCallId),
    ...rest,
  });
  try {
    for await (const { sequenceNumber, payload } of stream) {
      events.push(sequenceNumber);
      if (payload.case === "textDelta" && action === "cancel") await stream.cancel();
      if (payload.case === "textDelta" && action === "close") await stream.close();
    }
    if (action === "close") return printed({ state: null, error: null });
    const { state, error } = await stream.final();
    const failure = error ? { code: "", reason: error.reason, metadata: error.metadata, fields: {} } : null;
    return printed({ state: RunState[state]!, error: failure });
  } catch (error) {
    if (!(error instanceof LettaError)) throw error;
    const { code = "", reason, metadata, fields } = error;
    return printed({ state: null, error: { code, reason, metadata, fields } });
  }
}

const target = process.argv.at(-1)!;
const gateway = process.argv.includes("--http")
  ? // Without a patience of its own: what the server says is to be met by the client's.
    await start(["gateway", "--target", target, "--http", "127.0.0.1:0", "--hold-seconds", "0"])
  : undefined;
const [quick, patient] = [QUICK, PATIENT].map((retry) => {
  const options = { apiKey: KEY, retry };
  return gateway ? web.connect(gateway.addresses["http"], options) : node.connect(target, options);
}) as [Client, Client];
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const task = JSON.parse(line) as Task;
    console.log(JSON.stringify({ case: task.case, ...(await perform(task.patient ? patient : quick, task)) }));
  }
} finally {
  await Promise.all([quick.close(), patient.close()]);
  await gateway?.end();
}
