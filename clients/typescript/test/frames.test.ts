// Server-sent events, cut wherever a network may cut them.

import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { FrameParser } from "#dist/gateway/frames.js";

const STREAM = `\u{feff}retry: 1000\n\n: keepalive\nid: 0\n\nid: 1\nevent: text_delta\ndata: {"text":"wörld 🌍"}\n\nid: 2\r\ndata: a\r\ndata:b\r\n\r\n: keepalive\r\rdata\r\rid: 3\nunknown: x\nevent: error\ndata: {}\n\ndata: never ended\n`;
const FRAMES = [
  { id: "0", event: "message", data: null },
  { id: "1", event: "text_delta", data: '{"text":"wörld 🌍"}' },
  { id: "2", event: "message", data: "a\nb" },
  { id: null, event: "message", data: null },
  { id: null, event: "message", data: "" },
  { id: "3", event: "error", data: "{}" },
];

function parsed(pieces: readonly Uint8Array[]): object[] {
  const parser = new FrameParser();
  return pieces.flatMap((piece) => [...parser.push(piece)]);
}

test("a stream may be cut at any byte", () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (let at = 0; at <= bytes.length; at += 1) {
    deepEqual(parsed([bytes.subarray(0, at), bytes.subarray(at)]), FRAMES, `cut at byte ${at}`);
  }
});

test("a stream may come byte by byte, with pieces of nothing between", () => {
  const bytes = [...new TextEncoder().encode(STREAM)];
  deepEqual(parsed(bytes.flatMap((byte) => [Uint8Array.of(byte), new Uint8Array()])), FRAMES);
});
