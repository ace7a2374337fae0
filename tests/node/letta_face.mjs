// The official Letta SDK against a server: `node letta_face.mjs <scenario> <base url> <JSON>` prints what it has seen as JSON.
import Letta from "@letta-ai/letta-client";

const [scenario, baseURL, given] = process.argv.slice(2);
const { agent, text, run, after } = JSON.parse(given);
const client = new Letta({ baseURL, maxRetries: 0, timeout: 20_000 });
const user = (content) => [{ role: "user", content }];
const all = async (stream) => {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
};
const tool = { name: "get_weather", description: "Get weather.", parameters: { type: "object", properties: {} } };

const scenarios = {
  blocking: () => client.agents.messages.create(agent, { messages: user(text) }),
  steps: async () => all(await client.agents.messages.create(agent, { messages: user(text), streaming: true })),
  tokens: async () =>
    all(
      await client.agents.messages.create(agent, {
        messages: user(text),
        streaming: true,
        stream_tokens: true,
        background: true,
      }),
    ),
  resume: async () => all(await client.runs.messages.stream(run, { starting_after: after })),
  approve: async () => {
    const asked = await client.agents.messages.create(agent, { messages: user(text) });
    const request = asked.messages.find((item) => item.message_type === "approval_request_message");
    let refused = null;
    try {
      await client.agents.messages.create(agent, { input: "hello?", streaming: true });
    } catch (error) {
      refused = { status: error.status, detail: error.error.detail };
    }
    const decision = { type: "approval", tool_call_id: request.tool_call.tool_call_id, approve: true };
    const answer = await client.agents.messages.create(agent, { messages: [{ type: "approval", approvals: [decision] }] });
    return { request, refused, answer };
  },
  client_tool: async () => {
    const asked = await client.agents.messages.create(agent, { messages: user(text), client_tools: [tool] });
    const request = asked.messages.find((item) => item.message_type === "approval_request_message");
    const given = { type: "tool", tool_call_id: request.tool_call.tool_call_id, tool_return: "sunny", status: "success" };
    const answer = await client.agents.messages.create(agent, {
      messages: [{ type: "tool_return", tool_returns: [given] }],
      client_tools: [tool],
    });
    return { asked, answer };
  },
  cancel: async () => {
    const stream = await client.agents.messages.create(agent, { messages: user(text), streaming: true, stream_tokens: true });
    const items = [];
    let cancelled = null;
    for await (const item of stream) {
      items.push(item);
      if (item.message_type === "assistant_message" && !cancelled) cancelled = await client.agents.messages.cancel(agent);
    }
    return { items, cancelled };
  },
  failure: async () => {
    const items = [];
    try {
      const stream = await client.agents.messages.create(agent, { messages: user(text), streaming: true });
      for await (const item of stream) items.push(item);
    } catch (error) {
      return { items, error: error.error };
    }
    return { items, error: null };
  },
  conversations: async () => {
    const made = await client.conversations.create({ agent_id: agent, summary: "one" });
    const items = await all(await client.conversations.messages.create(made.id, { messages: user(text) }));
    const history = await all(await client.conversations.messages.list(made.id, { order: "asc" }));
    const listed = await all(await client.conversations.list({ agent_id: agent }));
    return { items, history, listed, id: made.id };
  },
  paging: async () => {
    const up = await all(await client.agents.messages.list(agent, { order: "asc", limit: 40 }));
    const down = await all(await client.agents.messages.list(agent, { order: "desc", limit: 40 }));
    return { up: up.map((item) => item.id), down: down.map((item) => item.id) };
  },
  runs: async () => {
    const started = await client.agents.messages.createAsync(agent, { messages: user(text) });
    const items = await all(await client.runs.messages.stream(started.id, {}));
    const run = await client.runs.retrieve(started.id);
    const usage = await client.runs.usage.retrieve(started.id);
    const steps = await all(await client.runs.steps.list(started.id));
    const listed = await all(await client.runs.list({ agent_id: agent }));
    return { items, run, usage, steps, listed };
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
