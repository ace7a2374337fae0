// The official SDK against a gateway: `node openai_face.mjs <base url> <echoing agent> <failing agent> <script that fails>`.
import OpenAI from "openai";

const [baseURL, agent, failing, failure] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 2, timeout: 20_000 });
const said = (content) => [{ role: "user", content }];
const seen = {};

const stream = await client.chat.completions.create({
  model: agent,
  messages: said("one two three"),
  stream: true,
  stream_options: { include_usage: true },
});
seen.pieces = [];
for await (const chunk of stream) {
  if (chunk.choices.length && chunk.choices[0].delta.content) seen.pieces.push(chunk.choices[0].delta.content);
  if (chunk.usage) seen.tokens = chunk.usage.completion_tokens;
}

const whole = await client.chat.completions.create({ model: agent, messages: said("four") });
seen.whole = whole.choices[0].message.content;

seen.models = [];
for await (const model of client.models.list()) seen.models.push(model.id);

try {
  for await (const _ of await client.chat.completions.create({ model: failing, messages: said(failure), stream: true }));
} catch (error) {
  if (error instanceof OpenAI.APIError) seen.streamError = [error.message, error.type, error.code];
}
try {
  await client.chat.completions.create({ model: "agent-00000000-0000-4000-8000-000000000000", messages: said("x") });
} catch (error) {
  seen.status = error.status;
  seen.code = error.code;
}
// Repeats what takes too long.
const hasty = new OpenAI({ baseURL, apiKey: "any", maxRetries: 4, timeout: 500 });
const late = JSON.stringify([[{ delay_ms: 900 }, { text: "late" }]]);
seen.late = (await hasty.chat.completions.create({ model: failing, messages: said(late) })).choices[0].message.content;

// Stops in the middle, as a Stop button does.
const runner = client.chat.completions.stream({ model: agent, messages: said("a b c d e f g h") });
for await (const _ of runner) {
  runner.abort();
  break;
}
console.log(JSON.stringify(seen));
