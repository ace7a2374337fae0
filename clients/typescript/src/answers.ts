// Answers to tool calls that wait: `client.answer(run, { "call-1": approve(), "call-2": deny("too dear") })`.

import { create } from "@bufbuild/protobuf";
import type { Approve, Content, Deny, InputMessage, ToolReturn } from "./generated/letta_grpc/v1/messages_pb.js";
import {
  ApproveSchema,
  DecisionSchema,
  DenySchema,
  InputMessageSchema,
  ToolReturnSchema,
  ToolReturnStatus,
} from "./generated/letta_grpc/v1/messages_pb.js";
import { jsonText } from "./requests.js";

export type Answer = Approve | Deny | ToolReturn;
/** By tool call id. They need not cover all calls that wait. */
export type Answers = Readonly<Record<string, Answer>>;

/** Let a call run: with these arguments, or without any as the model wrote them. */
export function approve(args?: string | object): Approve {
  return create(ApproveSchema, args === undefined ? {} : { arguments: jsonText(args) });
}

/** Do not let a call run; the model is told why. */
export function deny(reason = ""): Deny {
  return create(DenySchema, { reason });
}

export interface ToolReturnOptions {
  isError?: boolean;
  /** Lines. */
  stdout?: string[];
  stderr?: string[];
}

/** Say what a tool gave that the caller ran: text and content as they are, everything else as JSON. */
export function toolReturn(value: unknown, options: ToolReturnOptions = {}): ToolReturn {
  const status = options.isError ? ToolReturnStatus.ERROR : ToolReturnStatus.SUCCESS;
  const body = isContent(value)
    ? ({ case: "content", value } as const)
    : ({ case: "text", value: typeof value === "string" ? value : (JSON.stringify(value) ?? "null") } as const);
  return create(ToolReturnSchema, { status, body, stdout: options.stdout ?? [], stderr: options.stderr ?? [] });
}

/** Return answers as input: the decisions, then the returns, each in the order given. */
export function answerMessages(answers: Answers): InputMessage[] {
  const decisions = [];
  const returns = [];
  for (const [toolCallId, answer] of Object.entries(answers)) {
    switch (answer.$typeName) {
      case "letta_grpc.v1.Approve":
        decisions.push(create(DecisionSchema, { toolCallId, kind: { case: "approve", value: answer } }));
        break;
      case "letta_grpc.v1.Deny":
        decisions.push(create(DecisionSchema, { toolCallId, kind: { case: "deny", value: answer } }));
        break;
      case "letta_grpc.v1.ToolReturn":
        // A copy names its call: the caller may give the same return to several.
        returns.push({ ...answer, toolCallId });
        break;
    }
  }
  const messages = [];
  if (decisions.length) messages.push(create(InputMessageSchema, { kind: { case: "approval", value: { decisions } } }));
  if (returns.length) messages.push(create(InputMessageSchema, { kind: { case: "toolReturns", value: { returns } } }));
  return messages;
}

function isContent(value: unknown): value is Content {
  return typeof value === "object" && value !== null && "$typeName" in value && value.$typeName === "letta_grpc.v1.Content";
}
