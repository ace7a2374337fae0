// From arguments as JavaScript has them to requests.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { InvalidRequestError } from "./errors.js";
import type { EventKind } from "./generated/letta_grpc/v1/events_pb.js";
import type { InputMessage } from "./generated/letta_grpc/v1/messages_pb.js";
import { InputMessageSchema } from "./generated/letta_grpc/v1/messages_pb.js";
import type { StreamOptions } from "./generated/letta_grpc/v1/run_service_pb.js";
import { StreamOptionsSchema } from "./generated/letta_grpc/v1/run_service_pb.js";
import type { ClientToolSchema, RunSpec } from "./generated/letta_grpc/v1/runs_pb.js";
import { ConflictPolicy, DisconnectPolicy, RunSpecSchema } from "./generated/letta_grpc/v1/runs_pb.js";

/** A plain string is what a person says. */
export type Input = string | InputMessage;
export type Inputs = Input | readonly Input[];

/** How to run. */
export interface RunOptions {
  /** Without it the agent's default conversation. */
  conversationId?: string;
  /** A UUID that makes the start safe to repeat; without it a new one. */
  requestId?: string;
  /** How many times the model may be asked (50). */
  maxSteps?: number;
  /** How long the run may take (10 minutes); not the time of the call. */
  runTimeoutMs?: number;
  /** When the conversation is busy (reject). */
  conflictPolicy?: "reject" | "enqueue" | "interrupt";
  /** When nobody reads (continue). */
  disconnectPolicy?: "continue" | "cancel";
  /** How long a run with policy "cancel" may be without a reader (5 seconds). */
  disconnectGraceMs?: number;
  /** How long calls may wait for answers before they are denied (24 hours). */
  approvalTimeoutMs?: number;
  /** Tools that the caller runs. */
  clientTools?: readonly MessageInitShape<typeof ClientToolSchema>[];
  /** The tools one of which the model has to call first. */
  toolChoice?: readonly string[];
  /** The model for this run, in place of the agent's. */
  model?: string;
  /** The system prompt for this run, in place of the agent's. */
  system?: string;
  /** JSON Schema, an object or text: the model's answer is JSON of this shape. */
  responseFormat?: string | object;
  /** An address that is told when the run has ended, by a POST with JSON. */
  callbackUrl?: string;
  /** Kept with the run. */
  metadata?: Record<string, string>;
  /** Marks the run as background work, for listings. */
  background?: boolean;
}

/** How to read. Never changes the run. */
export interface ReadOptions {
  /** Ends the reading, and not the run: iterating rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * How long all of the reading may take, counted from its beginning; then iterating rejects with DeadlineExceededError. The
   * run goes on. Infinity: no limit.
   */
  timeoutMs?: number;
  /** The kinds of events to send; all, unless some are given. */
  eventKinds?: readonly EventKind[];
  /** Leaves out text, reasoning and tool call deltas. */
  omitDeltas?: boolean;
  /** The longest silence before a heartbeat (15 seconds); 0 turns heartbeats off, and with them the watch for silence. */
  heartbeatMs?: number;
  /** Deltas wait until so many characters have come. */
  minChunkChars?: number;
  /** Slows deltas down to so many tokens a second. */
  maxTokensPerSecond?: number;
}

const CONFLICT_POLICIES = {
  reject: ConflictPolicy.REJECT,
  enqueue: ConflictPolicy.ENQUEUE,
  interrupt: ConflictPolicy.INTERRUPT,
};
const DISCONNECT_POLICIES = { continue: DisconnectPolicy.CONTINUE, cancel: DisconnectPolicy.CANCEL };
const DEFAULT_HEARTBEAT_MS = 15_000;
const SILENT_INTERVALS = 3;

/** Return what to run. */
export function runSpec(messages: Inputs, options: RunOptions): RunSpec {
  const { maxSteps, model, system, responseFormat, callbackUrl, conflictPolicy, disconnectPolicy } = options;
  return create(RunSpecSchema, {
    messages: inputMessages(messages),
    runTimeout: duration("runTimeoutMs", options.runTimeoutMs),
    disconnectGrace: duration("disconnectGraceMs", options.disconnectGraceMs),
    approvalTimeout: duration("approvalTimeoutMs", options.approvalTimeoutMs),
    conflictPolicy: conflictPolicy ? CONFLICT_POLICIES[conflictPolicy] : ConflictPolicy.UNSPECIFIED,
    disconnectPolicy: disconnectPolicy ? DISCONNECT_POLICIES[disconnectPolicy] : DisconnectPolicy.UNSPECIFIED,
    clientTools: [...(options.clientTools ?? [])],
    toolChoice: [...(options.toolChoice ?? [])],
    metadata: options.metadata ?? {},
    background: options.background ?? false,
    ...(maxSteps !== undefined && { maxSteps }),
    ...(model !== undefined && { model }),
    ...(callbackUrl !== undefined && { callbackUrl }),
    ...(system !== undefined && { system }),
    ...(responseFormat !== undefined && { responseFormat: jsonText(responseFormat) }),
  });
}

/** Return how to send a run's events. */
export function streamOptions(options: ReadOptions): StreamOptions {
  return create(StreamOptionsSchema, {
    eventKinds: [...(options.eventKinds ?? [])],
    omitDeltas: options.omitDeltas ?? false,
    heartbeatInterval: duration("heartbeatMs", options.heartbeatMs),
    minChunkChars: options.minChunkChars ?? 0,
    maxTokensPerSecond: options.maxTokensPerSecond ?? 0,
  });
}

/** Tell whether these options leave events out. */
export function isFiltered(options: StreamOptions): boolean {
  return options.omitDeltas || options.eventKinds.length > 0;
}

/** Return how long a stream without a word is alive; undefined where no heartbeats were asked for. */
export function silenceLimitMs(options: StreamOptions): number | undefined {
  const interval = options.heartbeatInterval ? durationMs(options.heartbeatInterval) : DEFAULT_HEARTBEAT_MS;
  return SILENT_INTERVALS * interval || undefined;
}

/** Return JSON as text; text stays as it is. */
export function jsonText(value: string | object): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return a UUID, also in a page that was not loaded over HTTPS. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function inputMessages(messages: Inputs): InputMessage[] {
  const given: readonly Input[] = typeof messages === "string" || "$typeName" in messages ? [messages] : messages;
  return given.map((one) => (typeof one === "string" ? saidByUser(one) : one));
}

function saidByUser(text: string): InputMessage {
  return create(InputMessageSchema, { kind: { case: "user", value: { body: { case: "text", value: text } } } });
}

function duration(name: string, milliseconds: number | undefined): Duration | undefined {
  if (milliseconds === undefined) return undefined;
  if (Number.isFinite(milliseconds)) return durationFromMs(Math.round(milliseconds));
  throw new InvalidRequestError(`${name} is ${milliseconds}, and no time`, { code: "INVALID_ARGUMENT" });
}
