/// <reference lib="esnext.disposable" preserve="true" />
// With it the types are whole for those, too, whose own settings know no AsyncDisposable.
// The client: one object per server, the same over every transport.

import { create } from "@bufbuild/protobuf";
import { createClient, type Client as ServiceClient, type Transport } from "@connectrpc/connect";
import { type Answers, answerMessages } from "./answers.js";
import { Connection, type ConnectionOptions } from "./connection.js";
import type { Follow } from "./event_call.js";
import { AgentService } from "./generated/letta_grpc/v1/agent_service_pb.js";
import { ArchiveService } from "./generated/letta_grpc/v1/archive_service_pb.js";
import { BlockService } from "./generated/letta_grpc/v1/block_service_pb.js";
import { ConversationService } from "./generated/letta_grpc/v1/conversation_service_pb.js";
import { McpService } from "./generated/letta_grpc/v1/mcp_service_pb.js";
import { ModelService } from "./generated/letta_grpc/v1/model_service_pb.js";
import {
  AttachRunRequestSchema,
  type ExecuteRunResponse,
  RunService,
  StreamRunRequestSchema,
} from "./generated/letta_grpc/v1/run_service_pb.js";
import type { Run } from "./generated/letta_grpc/v1/runs_pb.js";
import { ToolService } from "./generated/letta_grpc/v1/tool_service_pb.js";
import { type Inputs, newRequestId, type ReadOptions, type RunOptions, runSpec, streamOptions } from "./requests.js";
import { RunStream } from "./stream.js";

/** Speaks to one server. Made by `connect` of `letta-grpc/node` or of `letta-grpc/web`. */
export class Client implements AsyncDisposable {
  /** Every RPC of the contract by its service: `client.agents.createAgent({ agent: { name: "ada" } })`. */
  readonly agents: ServiceClient<typeof AgentService>;
  readonly archive: ServiceClient<typeof ArchiveService>;
  readonly blocks: ServiceClient<typeof BlockService>;
  readonly conversations: ServiceClient<typeof ConversationService>;
  readonly mcpServers: ServiceClient<typeof McpService>;
  readonly models: ServiceClient<typeof ModelService>;
  readonly runs: ServiceClient<typeof RunService>;
  readonly tools: ServiceClient<typeof ToolService>;
  readonly #connection: Connection;
  readonly #disconnect: () => void;
  readonly #streams = new Set<WeakRef<RunStream>>();

  constructor(transport: Transport, options: ConnectionOptions = {}, disconnect: () => void = () => {}) {
    this.#connection = new Connection(transport, options);
    this.#disconnect = disconnect;
    this.agents = createClient(AgentService, this.#connection);
    this.archive = createClient(ArchiveService, this.#connection);
    this.blocks = createClient(BlockService, this.#connection);
    this.conversations = createClient(ConversationService, this.#connection);
    this.mcpServers = createClient(McpService, this.#connection);
    this.models = createClient(ModelService, this.#connection);
    this.runs = createClient(RunService, this.#connection);
    this.tools = createClient(ToolService, this.#connection);
  }

  /**
   * Return the stream of a new run, which starts with the first use of the stream. Safe against broken connections from the
   * first moment on: a start that is repeated has the same request id.
   */
  stream(agentId: string, messages: Inputs, options: RunOptions & ReadOptions = {}): RunStream {
    const request = create(StreamRunRequestSchema, { ...started(agentId, messages, options), options: streamOptions(options) });
    return this.#follow(request, options);
  }

  /**
   * Return the stream of the run that answers the waiting calls of another: `approve`, `deny` or `toolReturn` by call. Calls
   * without an answer go on waiting: then the new run ends at once, INTERRUPTED again.
   */
  answer(run: Run, answers: Answers, options: RunOptions & ReadOptions = {}): RunStream {
    return this.stream(run.agentId, answerMessages(answers), { conversationId: run.conversationId, ...options });
  }

  /** Return the stream of a run that there is, from behind a number on. */
  attach(runId: string, options: ReadOptions & { after?: number } = {}): RunStream {
    const afterSequenceNumber = options.after ?? 0;
    const request = create(AttachRunRequestSchema, { runId, afterSequenceNumber, options: streamOptions(options) });
    return this.#follow(request, options);
  }

  /** Start a run and wait for its end, across broken connections; return it, whatever its state, and the messages it added. */
  execute(
    agentId: string,
    messages: Inputs,
    options: RunOptions & Pick<ReadOptions, "signal" | "timeoutMs"> = {},
  ): Promise<ExecuteRunResponse> {
    const { signal, timeoutMs = 0 } = options;
    return this.runs.executeRun(started(agentId, messages, options), { timeoutMs, ...(signal && { signal }) });
  }

  /** Close every stream and the connection: from now on calls reject with ClientClosedError. Runs go on. */
  async close(): Promise<void> {
    this.#connection.close();
    // All of them before the first reader gets to know: else those of the others would be told of a failed call.
    await Promise.all([...this.#streams].map((stream) => stream.deref()?.close()));
    this.#streams.clear();
    this.#disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #follow(request: Follow, reading: ReadOptions): RunStream {
    for (const known of this.#streams) if (!known.deref()) this.#streams.delete(known);
    const stream = new RunStream(this.#connection, request, request.options!, reading);
    this.#streams.add(new WeakRef(stream));
    return stream;
  }
}

function started(agentId: string, messages: Inputs, options: RunOptions) {
  const { conversationId = "", requestId = newRequestId() } = options;
  return { agentId, conversationId, requestId, run: runSpec(messages, options) };
}

/** Yield the items of all pages: `items(client.agents.listAgents, {}, (page) => page.agents)`. */
export async function* items<I extends { pageToken?: string }, O extends { nextPageToken: string }, T>(
  list: (request: I) => Promise<O>,
  request: I,
  of: (page: O) => readonly T[],
): AsyncGenerator<T, void, undefined> {
  for (let pageToken = request.pageToken ?? ""; ;) {
    const page = await list({ ...request, pageToken });
    yield* of(page);
    pageToken = page.nextPageToken;
    if (!pageToken) return;
  }
}
