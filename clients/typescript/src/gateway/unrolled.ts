// The gateway unrolls a stream's responses: each element of their one repeated field is a frame, with the response's other
// fields merged into it. Here they become responses again.

import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Frame } from "./frames.js";

const HEARTBEAT = "heartbeat";

export class Unrolled<O extends DescMessage> {
  readonly #list: DescField | undefined;
  readonly #others: readonly string[];

  constructor(private readonly response: O) {
    this.#list = response.fields.find((field) => field.fieldKind === "list" && field.listKind === "message");
    const own = new Set(this.#list?.message?.fields.map((field) => field.jsonName));
    this.#others = response.fields.map((field) => field.jsonName).filter((name) => !own.has(name));
  }

  /** Return the response that a frame is part of; undefined for a frame that tells nothing to this reader. */
  of({ id, data }: Frame): MessageShape<O> | undefined {
    if (data !== null) return this.#read(this.#response(JSON.parse(data) as JsonObject));
    // Over HTTP a heartbeat is a comment. It has no number, unless its block says one.
    return this.#list
      ? this.#read({ [this.#list.jsonName]: [{ sequenceNumber: Number(id ?? 0), [HEARTBEAT]: {} }] })
      : undefined;
  }

  #response(frame: JsonObject): JsonObject {
    if (!this.#list) return frame;
    const response: JsonObject = {};
    for (const name of this.#others) {
      if (frame[name] === undefined) continue;
      response[name] = frame[name];
      delete frame[name];
    }
    return Object.keys(frame).length ? { ...response, [this.#list.jsonName]: [frame] } : response;
  }

  #read(json: JsonValue): MessageShape<O> {
    return fromJson(this.response, json, { ignoreUnknownFields: true });
  }
}
