// The official Letta SDK against a server: `node letta_face.mjs <scenario> <base url> <JSON>` prints what it has seen as JSON.
import Letta, { toFile } from "@letta-ai/letta-client";

const [scenario, baseURL, given] = process.argv.slice(2);
const { agent, text, run, after, approve = true, source, file } = JSON.parse(given);
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
    const decision = { type: "approval", tool_call_id: request.tool_call.tool_call_id, approve, reason: "No." };
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
  agents: async () => {
    const made = await client.agents.create({
      name: "ada",
      model: "scripted/echo",
      memory_blocks: [{ label: "human", value: "Grace." }],
      tags: ["ts"],
    });
    const changed = await client.agents.update(made.id, { description: "A friend." });
    const listed = await all(await client.agents.list({ tags: ["ts"], limit: 1 }));
    const recompiled = await client.agents.recompile(made.id);
    await client.agents.passages.create(made.id, { text: "The cat sleeps." });
    const found = await client.agents.passages.search(made.id, { query: "cat" });
    await client.agents.delete(made.id);
    const gone = await client.agents.retrieve(made.id).catch((error) => error.status);
    return { made, changed, listed, recompiled, found, gone };
  },
  blocks: async () => {
    const block = await client.blocks.create({ label: "team", value: "us" });
    const attached = await client.agents.blocks.attach(block.id, { agent_id: agent });
    const changed = await client.agents.blocks.update("team", { agent_id: agent, value: "all of us" });
    const read = await client.blocks.retrieve(block.id);
    const detached = await client.agents.blocks.detach(block.id, { agent_id: agent });
    await client.blocks.delete(block.id);
    const left = await all(await client.blocks.list({ label: "team" }));
    return { block, attached, changed, read, detached, left };
  },
  tools: async () => {
    const tool = await client.tools.create({ source_code: source });
    const again = await client.tools.upsert({ source_code: source, description: "Another word." });
    await client.agents.tools.attach(tool.id, { agent_id: agent });
    const guarded = await client.agents.tools.updateApproval(tool.name, { agent_id: agent, body_requires_approval: true });
    const outcome = await client.agents.tools.run(tool.name, { agent_id: agent, args: { city: "Rome" } });
    const listed = await all(await client.agents.tools.list(agent));
    await client.agents.tools.detach(tool.id, { agent_id: agent });
    await client.tools.delete(tool.id);
    return { tool, again, guarded, outcome, listed };
  },
  files: async () => {
    const imported = await client.agents.importFile({ file: await toFile(Buffer.from(JSON.stringify(file)), "agent.af") });
    const exported = await client.agents.exportFile(imported.agent_ids[0]);
    return { imported, exported: typeof exported === "string" ? JSON.parse(exported) : exported };
  },
  elsewhere: () => client.folders.list().then(all).catch((error) => ({ status: error.status, message: error.message })),
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
    const step = await client.steps.retrieve(steps[0].id);
    const all_steps = await all(await client.steps.list({ agent_id: agent, limit: 1 }));
    return { items, run, usage, steps, listed, step, all_steps };
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
