// Reads a stream of server-sent events from stdin, cuts it in two at every byte, then into single bytes, and parses each with
// the page's own parser. Writes the events as JSON if they are the same every time, and fails otherwise.
import { deepStrictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const built = await build({ absWorkingDir: here, entryPoints: ["src/frames.ts"], bundle: true, format: "esm", write: false });
const { FrameParser } = await import(`data:text/javascript,${encodeURIComponent(built.outputFiles[0].text)}`);

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const bytes = Buffer.concat(chunks);

function parsed(pieces) {
  const parser = new FrameParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

const whole = parsed([bytes]);
for (let at = 0; at <= bytes.length; at += 1) {
  deepStrictEqual(parsed([bytes.subarray(0, at), bytes.subarray(at)]), whole, `cut at byte ${at}`);
}
deepStrictEqual(parsed([...bytes].map((byte) => Uint8Array.of(byte))), whole, "single bytes");
process.stdout.write(JSON.stringify(whole));
