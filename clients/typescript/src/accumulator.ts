// From events to messages: what a run has said so far.

import { create } from "@bufbuild/protobuf";
import type {
  ChildRunStarted,
  ContextCompacted,
  RunEvent,
  ToolCallDelta,
  ToolOutputDelta,
} from "./generated/letta_grpc/v1/events_pb.js";
import { OutputStream } from "./generated/letta_grpc/v1/events_pb.js";
import type { Message, ToolCall, ToolReturn } from "./generated/letta_grpc/v1/messages_pb.js";
import { ContentPartSchema, MessageSchema, Role, ToolCallSchema } from "./generated/letta_grpc/v1/messages_pb.js";
import type { PendingAction, Run } from "./generated/letta_grpc/v1/runs_pb.js";

/** What a tool has written up to now. */
export interface ToolOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** A message that is still being written: the sum of its deltas. */
class Draft {
  role = Role.ASSISTANT;
  reasoning = "";
  readonly texts = new Map<number, string>();
  readonly calls = new Map<number, ToolCall>();

  asMessage(id: string): Message {
    const texts = inOrder(this.texts).map((value) => create(ContentPartSchema, { kind: { case: "text", value } }));
    const reasoning = create(ContentPartSchema, { kind: { case: "reasoning", value: this.reasoning } });
    const content = this.reasoning ? [reasoning, ...texts] : texts;
    return create(MessageSchema, { id, role: this.role, content, toolCalls: inOrder(this.calls) });
  }
}

/** Folds events, each once and in order. A completed message replaces its deltas; a restarted step takes back its void ones. */
export class Accumulator {
  run: Run | undefined;
  readonly toolReturns = new Map<string, ToolReturn>();
  /** By call. A tool that another server runs once more begins with nothing. */
  readonly toolOutput = new Map<string, ToolOutput>();
  readonly compactions: ContextCompacted[] = [];
  readonly childRuns: ChildRunStarted[] = [];
  #asked: readonly PendingAction[] = [];
  // In the order of their first sign of life: an unfinished message keeps its place when it is completed.
  readonly #messages = new Map<string, Draft | Message>();

  /** The completed messages, in order. */
  get messages(): readonly Message[] {
    return [...this.#messages.values()].filter((message): message is Message => !(message instanceof Draft));
  }

  /** All messages in order, what is being written as far as it has come. */
  get messagesSoFar(): readonly Message[] {
    return [...this.#messages].map(([id, message]) => (message instanceof Draft ? message.asMessage(id) : message));
  }

  /** The calls for whose answers the run ended, or is about to end. */
  get pendingActions(): readonly PendingAction[] {
    return this.#asked.length ? this.#asked : (this.run?.pendingActions ?? []);
  }

  /** The texts of the completed assistant messages that have any, in order, with a blank line between them. */
  get text(): string {
    return joined(this.messages);
  }

  /** As `text`, with what is being written. */
  get textSoFar(): string {
    return joined(this.messagesSoFar);
  }

  /** Fold the next event in. Kinds without a meaning for messages, unknown ones too, change nothing. */
  add({ payload }: RunEvent): void {
    switch (payload.case) {
      case "runStarted":
        // The next run of a turn: what was asked before has its answer.
        this.run = payload.value.run;
        this.#asked = [];
        break;
      case "runFinished":
        this.run = payload.value.run;
        break;
      case "messageStarted":
        this.#draft(payload.value.messageId).role = payload.value.role;
        break;
      case "textDelta": {
        const { texts } = this.#draft(payload.value.messageId);
        texts.set(payload.value.contentIndex, (texts.get(payload.value.contentIndex) ?? "") + payload.value.text);
        break;
      }
      case "reasoningDelta":
        this.#draft(payload.value.messageId).reasoning += payload.value.text;
        break;
      case "toolCallDelta":
        this.#addArguments(payload.value);
        break;
      case "messageCompleted":
        if (payload.value.message) this.#messages.set(payload.value.message.id, payload.value.message);
        break;
      case "stepRestarted":
        for (const id of payload.value.voidMessageIds) this.#messages.delete(id);
        break;
      case "toolExecutionStarted":
        this.toolOutput.set(payload.value.toolCallId, { stdout: "", stderr: "" });
        break;
      case "toolOutputDelta":
        this.#addOutput(payload.value);
        break;
      case "toolReturn":
        this.toolReturns.set(payload.value.toolCallId, payload.value);
        break;
      case "approvalRequest":
        this.#asked = payload.value.actions;
        break;
      case "contextCompacted":
        this.compactions.push(payload.value);
        break;
      case "childRunStarted":
        this.childRuns.push(payload.value);
        break;
    }
  }

  /** Take a run that was looked up, where its stream has nothing to say any more. */
  conclude(run: Run): void {
    this.run = run;
  }

  #draft(id: string): Draft {
    const known = this.#messages.get(id);
    const draft = known instanceof Draft ? known : new Draft();
    // A delta behind its completed message has nothing to add.
    if (!known) this.#messages.set(id, draft);
    return draft;
  }

  #addArguments(delta: ToolCallDelta): void {
    const { calls } = this.#draft(delta.messageId);
    const call = calls.get(delta.callIndex) ?? create(ToolCallSchema, { id: delta.toolCallId, name: delta.name });
    calls.set(delta.callIndex, { ...call, arguments: call.arguments + delta.arguments });
  }

  #addOutput({ toolCallId, stream, text }: ToolOutputDelta): void {
    const { stdout, stderr } = this.toolOutput.get(toolCallId) ?? { stdout: "", stderr: "" };
    const isError = stream === OutputStream.STDERR;
    this.toolOutput.set(toolCallId, isError ? { stdout, stderr: stderr + text } : { stdout: stdout + text, stderr });
  }
}

/** Return a message's plain text, without its reasoning. */
export function textOf(message: Message): string {
  return message.content.map(({ kind }) => (kind.case === "text" ? kind.value : "")).join("");
}

function joined(messages: readonly Message[]): string {
  const texts = messages.filter((message) => message.role === Role.ASSISTANT).map(textOf);
  return texts.filter(Boolean).join("\n\n");
}

function inOrder<T>(items: ReadonlyMap<number, T>): T[] {
  return [...items].sort(([a], [b]) => a - b).map(([, item]) => item);
}
