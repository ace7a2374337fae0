// From a call to an HTTP request, by the `google.api.http` rule of its method.

import {
  create,
  type DescMessage,
  type DescMethod,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { InvalidRequestError, LettaError } from "../errors.js";
import { http } from "../generated/google/api/annotations_pb.js";

export interface HttpRequest {
  readonly verb: string;
  /** Path and query, from behind the base URL. */
  readonly path: string;
  readonly body: JsonValue | undefined;
  /** From which event on, for streams that can be resumed. */
  readonly lastEventId: string | undefined;
}

const CURSOR = "afterSequenceNumber";
const VARIABLE = /\{(\w+)\}/g;

/** Return the request that a call is. Throws InvalidRequestError for what no request can say. */
export function requestOf<I extends DescMessage>(method: DescMethod & { input: I }, input: MessageInitShape<I>): HttpRequest {
  try {
    return encoded(method, input);
  } catch (error) {
    if (error instanceof LettaError) throw error;
    throw new InvalidRequestError(String(error), { code: "INVALID_ARGUMENT", cause: error });
  }
}

function encoded<I extends DescMessage>(method: DescMethod & { input: I }, input: MessageInitShape<I>): HttpRequest {
  const { verb, template, body } = ruleOf(method);
  const fields = toJson(method.input, create(method.input, input)) as JsonObject;
  const lastEventId = verb === "GET" && method.methodKind === "server_streaming" ? String(fields[CURSOR] ?? 0) : undefined;
  if (lastEventId !== undefined) delete fields[CURSOR];
  let path = template.replace(VARIABLE, (_, name: string) => segment(name, taken(fields, jsonName(method.input, name)) ?? ""));
  const sent = body === "*" ? fields : body ? taken(fields, jsonName(method.input, body)) : undefined;
  const query = body === "*" ? "" : new URLSearchParams([...parameters(fields)]).toString();
  if (query) path += `?${query}`;
  return { verb, path, body: sent, lastEventId };
}

function ruleOf(method: DescMethod): { verb: string; template: string; body: string } {
  const rule = hasOption(method, http) ? getOption(method, http) : undefined;
  if (!rule || typeof rule.pattern.value !== "string" || method.methodKind === "bidi_streaming") {
    throw new LettaError(`${method.name} cannot be called over HTTP`, { code: "UNIMPLEMENTED" });
  }
  return { verb: rule.pattern.case!.toUpperCase(), template: rule.pattern.value, body: rule.body };
}

function segment(name: string, value: JsonValue): string {
  const text = String(value);
  // Dots alone are no name but a way: whoever resolves the URL would take another call for this one.
  if (/^\.{1,2}$/.test(text)) throw new InvalidRequestError(`${name}: is no id`, { code: "INVALID_ARGUMENT" });
  return encodeURIComponent(text);
}

function jsonName(message: DescMessage, name: string): string {
  return message.fields.find((field) => field.name === name)!.jsonName;
}

function taken(fields: JsonObject, name: string): JsonValue | undefined {
  const value = fields[name];
  delete fields[name];
  return value;
}

/** Yield fields as query parameters: nested ones by their path, several values by repeating the name. */
function* parameters(fields: JsonObject, prefix = ""): Generator<[string, string]> {
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === "object" && value && !Array.isArray(value)) yield* parameters(value, `${prefix}${name}.`);
    else for (const one of [value].flat()) yield [prefix + name, String(one)];
  }
}
