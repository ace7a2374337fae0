// A server in memory: what a test says each streaming call does, and what was asked of it.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type HandlerContext } from "@connectrpc/connect";
import { Client } from "letta-grpc";
import {
  type AttachRunRequest,
  type CancelRunRequest,
  RunEventSchema,
  RunSchema,
  RunService,
  RunState,
  type RunEvent,
  type StreamRunRequest,
} from "letta-grpc/v1";

export type Payload = MessageInitShape<typeof RunEventSchema>["payload"];
/** What a call does: events, then an end. A number is the first event's. */
export type Play = (context: HandlerContext) => AsyncIterable<{ events: RunEvent[] }>;

const RUN = { id: "run-1", agentId: "agent-1", conversationId: "conv-1" };
const KEY = "key";

export function event(sequenceNumber: number, payload: Payload): RunEvent {
  return create(RunEventSchema, { sequenceNumber, ...(payload && { payload }) });
}

export function says(sequenceNumber: number, text: string): RunEvent {
  return event(sequenceNumber, { case: "textDelta", value: { messageId: "m", text } });
}

export function ends(
  sequenceNumber: number,
  state = RunState.COMPLETED,
  more: MessageInitShape<typeof RunSchema> = {},
): RunEvent {
  return event(sequenceNumber, { case: "runFinished", value: { run: { ...RUN, state, ...more } } });
}

/** A call that sends events and ends: well, by breaking, or never. */
export function plays(events: readonly RunEvent[], end: "ok" | "cut" | "silence" = "ok"): Play {
  return async function* ({ signal }) {
    for (const one of events) yield { events: [one] };
    if (end === "cut") throw new ConnectError("the link broke", Code.Unavailable);
    if (end === "silence") await new Promise((resolve) => signal.addEventListener("abort", resolve));
  };
}

export class FakeServer {
  readonly starts: StreamRunRequest[] = [];
  readonly attachedAfter: number[] = [];
  readonly cancels: CancelRunRequest[] = [];
  readonly client: Client;
  readonly #open = new Set<AbortSignal>();
  #onQuiet = () => {};

  constructor(...plays: readonly Play[]) {
    const left = [...plays];
    const play = async function* (this: FakeServer, context: HandlerContext) {
      context.responseHeader.set("letta-run-id", RUN.id);
      this.#open.add(context.signal);
      context.signal.addEventListener("abort", () => this.#ended(context.signal));
      yield* left.shift()!(context);
      this.#ended(context.signal);
    }.bind(this);
    const transport = createRouterTransport(({ service }) => {
      service(RunService, {
        streamRun: (request: StreamRunRequest, context) => {
          this.starts.push(request);
          return play(context);
        },
        attachRun: (request: AttachRunRequest, context) => {
          this.attachedAfter.push(request.afterSequenceNumber);
          return play(context);
        },
        cancelRun: (request: CancelRunRequest) => {
          this.cancels.push(request);
          return { run: RUN };
        },
      });
    });
    this.client = new Client(transport, { apiKey: KEY, retry: { initialMs: 1, maximumMs: 2 } });
  }

  /** Wait until no call is open any more. */
  quiet(): Promise<void> {
    return this.#open.size ? new Promise((resolve) => (this.#onQuiet = resolve)) : Promise.resolve();
  }

  #ended(call: AbortSignal): void {
    this.#open.delete(call);
    if (!this.#open.size) this.#onQuiet();
  }
}
