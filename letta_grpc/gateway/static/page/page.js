// src/api.ts
var KEY = "letta-grpc.key";
var ApiError = class extends Error {
  constructor(status, message, reason, metadata, retryAfterSeconds) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.metadata = metadata;
    this.retryAfterSeconds = retryAfterSeconds;
  }
  status;
  reason;
  metadata;
  retryAfterSeconds;
  /** Whether the same request may go well later. */
  get isPassing() {
    return this.status === 429 || this.status === 408 || this.status >= 500;
  }
};
function storedKey() {
  return sessionStorage.getItem(KEY) ?? "";
}
function isSendable(key) {
  return /^[ -~]*$/.test(key);
}
function storeKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}
async function request(path, asked = {}) {
  const headers = { ...asked.headers };
  const key = storedKey();
  if (key) headers["authorization"] = `Bearer ${key}`;
  const init = { method: asked.method ?? "GET", headers, cache: "no-store" };
  if (asked.signal) init.signal = asked.signal;
  if (asked.body !== void 0) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(asked.body);
  }
  const response = await fetch(`api/v1/${path}`, init);
  if (!response.ok) throw await failureOf(response);
  return response;
}
async function failureOf(response) {
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  try {
    const { error } = await response.json();
    const info = (error.details ?? []).find((detail) => detail["reason"]) ?? {};
    return new ApiError(response.status, error.message, info.reason ?? error.status, info.metadata ?? {}, retryAfter);
  } catch {
    return new ApiError(response.status, `The server answered with status ${response.status}.`, "", {}, retryAfter);
  }
}
async function json(path, asked = {}) {
  return (await request(path, asked)).json();
}
var part = encodeURIComponent;
async function listAgents() {
  const all = [];
  for (let token = ""; ; ) {
    const query = new URLSearchParams({ pageSize: "1000", descending: "true", ...token ? { pageToken: token } : {} });
    const page = await json(`agents?${query}`);
    all.push(...page.agents ?? []);
    token = page.nextPageToken ?? "";
    if (!token) return all;
  }
}
async function getAgent(id) {
  return (await json(`agents/${part(id)}`)).agent;
}
async function createAgent(agent) {
  return (await json("agents", { method: "POST", body: { agent } })).agent;
}
async function listModels() {
  const { models } = await json("models");
  return (models ?? []).map((model) => model.handle);
}
async function listMessages(agentId, token = "", size = 50) {
  const query = new URLSearchParams({ descending: "true", pageSize: String(size) });
  if (token) query.set("pageToken", token);
  const page = await json(`agents/${part(agentId)}/messages?${query}`);
  return { messages: (page.messages ?? []).reverse(), older: page.nextPageToken ?? "" };
}
async function listRuns(query) {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) for (const one of [value].flat()) all.append(name, one);
  return (await json(`runs?${all}`)).runs ?? [];
}
async function createRun(agentId, requestId, run) {
  await request(`agents/${part(agentId)}/runs`, { method: "POST", body: { requestId, run } });
}
async function cancelRun(id) {
  await request(`runs/${part(id)}:cancel`, { method: "POST", body: {} });
}
async function updateBlock(agentId, label, value, version) {
  const body = { block: { value }, updateMask: "value", expectedVersion: version };
  const path = `agents/${part(agentId)}/memory/${part(label)}`;
  return (await json(path, { method: "PATCH", body })).block;
}
async function defaultConversation(agentId) {
  const path = `agents/${part(agentId)}/conversations?pageSize=1`;
  return (await json(path)).conversations?.[0]?.id ?? "";
}

// src/dom.ts
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
function button(label, kind, onClick) {
  const made = element("button", { type: "button", class: kind }, label);
  made.addEventListener("click", onClick);
  return made;
}
function byId(id) {
  return document.getElementById(id);
}
var labels = 0;
function freshId() {
  labels += 1;
  return `made-${labels}`;
}

// src/agents.ts
var AgentList = class {
  constructor(onChoice) {
    this.onChoice = onChoice;
    this.select.addEventListener("change", () => location.hash = this.select.value);
    addEventListener("hashchange", () => this.choose());
  }
  onChoice;
  select = byId("agent");
  chosen = "";
  isLoaded = false;
  /** Whether there are no agents, as far as the server has said. */
  get isEmpty() {
    return this.isLoaded && this.select.options.length === 0;
  }
  async load() {
    const agents2 = await listAgents();
    this.isLoaded = true;
    this.select.replaceChildren(...agents2.map(optionOf));
    this.select.disabled = agents2.length === 0;
    this.choose();
  }
  add(agent) {
    this.know(agent);
    location.hash = agent.id;
  }
  /** Have an agent in the list, also one that was made elsewhere since the list was loaded. */
  know(agent) {
    if (![...this.select.options].some((option) => option.value === agent.id)) this.select.prepend(optionOf(agent));
    this.select.disabled = false;
    if (agent.id === location.hash.slice(1)) this.select.value = agent.id;
  }
  choose() {
    const wanted = location.hash.slice(1);
    const isOwn = wanted !== "" && document.getElementById(wanted) !== null;
    if (isOwn && this.chosen) return history.replaceState(null, "", `#${this.chosen}`);
    const id = isOwn || !wanted ? this.select.options[0]?.value ?? "" : wanted;
    if (id && id !== wanted) history.replaceState(null, "", `#${id}`);
    this.chosen = id;
    this.select.value = id;
    this.onChoice(id);
  }
};
function optionOf(agent) {
  return element("option", { value: agent.id }, agent.name || agent.id);
}
var NewAgent = class {
  constructor(onMade) {
    this.onMade = onMade;
    byId("open-new-agent").addEventListener("click", () => this.open());
    byId("close-new-agent").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.make();
    });
  }
  onMade;
  dialog = byId("new-agent");
  form = byId("new-agent-form");
  fault = byId("new-agent-fault");
  open() {
    this.fault.textContent = "";
    this.dialog.showModal();
    void this.fillModels();
  }
  async fillModels() {
    const handles = await listModels().catch(() => []);
    byId("models").replaceChildren(...handles.map((handle) => element("option", { value: handle })));
    const field = byId("new-model");
    if (!field.value) field.value = handles.find((handle) => !handle.startsWith("scripted/")) ?? "scripted/demo";
  }
  async make() {
    const value = (id) => byId(id).value.trim();
    const system = value("new-system");
    const blocks = ["human", "persona"].map((label) => ({ label, value: value(`new-${label}`) }));
    const agent = { name: value("new-name"), model: value("new-model"), memoryBlocks: blocks, ...system ? { system } : {} };
    try {
      const made = await createAgent(agent);
      this.form.reset();
      this.dialog.close();
      this.onMade(made);
    } catch (error) {
      this.fault.textContent = error instanceof ApiError ? error.message : "The server is out of reach.";
    }
  }
};

// src/frames.ts
var FrameParser = class {
  // A byte order mark at the beginning is taken away by the decoder, and bytes of one character may come apart.
  decoder = new TextDecoder("utf-8");
  line = "";
  endedByReturn = false;
  id = null;
  event = "";
  data = [];
  push(bytes) {
    const frames = [];
    let text = this.decoder.decode(bytes, { stream: true });
    if (this.endedByReturn && text) {
      if (text.startsWith("\n")) text = text.slice(1);
      this.endedByReturn = false;
    }
    const ends = /\r\n|\r|\n/g;
    let begin2 = 0;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      this.take(this.line + text.slice(begin2, end.index), frames);
      this.line = "";
      begin2 = ends.lastIndex;
      this.endedByReturn = end[0] === "\r" && begin2 === text.length;
    }
    this.line += text.slice(begin2);
    return frames;
  }
  take(line, frames) {
    if (line === "") {
      if (this.data.length) frames.push({ id: this.id, event: this.event || "message", data: this.data.join("\n") });
      this.event = "";
      this.data = [];
      this.id = null;
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.data.push(value);
    else if (name === "event") this.event = value;
    else if (name === "id" && !value.includes("\0")) this.id = value;
  }
};

// src/follow.ts
var SILENCE_MS = 45e3;
var FIRST_WAIT_MS = 200;
var LONGEST_WAIT_MS = 5e3;
async function* follow(what, signal, hooks) {
  let runId = "runId" in what ? what.runId : "";
  let last = 0;
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    let pause = 0;
    try {
      const link = new Link(signal);
      try {
        const response = await (runId ? attach(runId, last, link.signal) : start(what, link.signal));
        hooks.onLink(true);
        if (response.status === 204) return;
        if (!runId) hooks.onRun(runId = response.headers.get("letta-run-id") ?? "");
        for await (const event of events(response, link)) {
          if (event.sequenceNumber <= last) continue;
          last = event.sequenceNumber;
          wait = FIRST_WAIT_MS;
          yield event;
          if (event.runFinished) return;
        }
      } finally {
        link.close();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !error.isPassing) throw error;
      pause = error instanceof ApiError ? error.retryAfterSeconds * 1e3 : 0;
    }
    hooks.onLink(false);
    await pausing(Math.max(pause, wait * (0.75 + Math.random() / 2)), signal);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}
function start(what, signal) {
  const body = { requestId: what.requestId, run: what.run };
  const headers = { accept: "text/event-stream" };
  return request(`agents/${encodeURIComponent(what.agentId)}/runs:stream`, { method: "POST", body, headers, signal });
}
function attach(runId, last, signal) {
  const headers = { accept: "text/event-stream", "last-event-id": String(last) };
  return request(`runs/${encodeURIComponent(runId)}/events:stream`, { headers, signal });
}
async function* events(response, link) {
  const parser = new FrameParser();
  const reader = response.body.getReader();
  for (; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    link.alive();
    for (const frame of parser.push(value)) {
      if (frame.event === "error") return;
      yield JSON.parse(frame.data);
    }
  }
}
var Link = class {
  constructor(outer) {
    this.outer = outer;
    outer.addEventListener("abort", this.leave);
    this.alive();
  }
  outer;
  controller = new AbortController();
  leave = () => this.controller.abort();
  timer = 0;
  get signal() {
    return this.controller.signal;
  }
  alive() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.leave, SILENCE_MS);
  }
  close() {
    clearTimeout(this.timer);
    this.outer.removeEventListener("abort", this.leave);
    this.controller.abort();
  }
};
function pausing(milliseconds, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      document.removeEventListener("visibilitychange", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });
}

// src/meter.ts
var CHARACTERS_A_TOKEN = 4;
var Meter = class {
  /** `isReplay`: the run began before the page followed it, so that its times say nothing. */
  constructor(isReplay) {
    this.isReplay = isReplay;
  }
  isReplay;
  begun = performance.now();
  first = 0;
  characters = 0;
  see(event) {
    const delta = event.textDelta?.text ?? event.reasoningDelta?.text ?? event.toolCallDelta?.arguments;
    if (delta === void 0) return;
    if (!this.first) this.first = performance.now();
    this.characters += delta.length;
  }
  get now() {
    if (this.isReplay) return "";
    if (!this.first) return `waiting ${seconds((performance.now() - this.begun) / 1e3)}`;
    const elapsed = (performance.now() - this.first) / 1e3;
    const rate = this.characters / CHARACTERS_A_TOKEN / Math.max(elapsed, 0.05);
    return `first token ${seconds((this.first - this.begun) / 1e3)} · ≈ ${Math.round(rate)} tokens/s`;
  }
};
function figuresOf(run) {
  const figures = [];
  const first = run.timing?.timeToFirstToken;
  if (first) figures.push(`first token ${seconds(Number.parseFloat(first))}`);
  if (run.timing?.tokensPerSecond) figures.push(`${Math.round(run.timing.tokensPerSecond)} tokens/s`);
  if (run.usage?.completionTokens) figures.push(`${run.usage.completionTokens} tokens`);
  return figures.join(" · ");
}
function seconds(value) {
  return value < 1 ? `${Math.round(value * 1e3)} ms` : `${value.toFixed(1)} s`;
}

// src/patience.ts
var FIRST_WAIT_MS2 = 300;
var LONGEST_WAIT_MS2 = 5e3;
async function patiently(call, signal, onLink) {
  for (let wait = FIRST_WAIT_MS2; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS2)) {
    let delay = wait;
    try {
      const value = await call();
      onLink(true);
      return value;
    } catch (error) {
      if (signal.aborted || error instanceof ApiError && !error.isPassing) throw error;
      if (error instanceof ApiError) delay = Math.max(wait, error.retryAfterSeconds * 1e3);
    }
    onLink(false);
    await pausing(delay, signal);
    signal.throwIfAborted();
  }
}

// src/chat.ts
var START = "letta-grpc.start";
var METER_MS = 250;
var Chat = class {
  constructor(transcript2, memory, view2) {
    this.transcript = transcript2;
    this.memory = memory;
    this.view = view2;
  }
  transcript;
  memory;
  view;
  session = new AbortController();
  agent = null;
  runId = "";
  olderToken = "";
  isStopping = false;
  // Runs that are open and were not followed yet, the next one first.
  queue = [];
  watching = new AbortController();
  pending = [];
  answers = /* @__PURE__ */ new Map();
  get isAnswering() {
    return this.runId !== "" || this.isStopping;
  }
  close() {
    this.session.abort();
    this.agent = null;
    this.transcript.clear("");
    this.memory.clear();
    this.view.mode("closed", "");
  }
  /** Show an agent's conversation, with why a start was refused, and go on with whatever is under way in it. */
  async open(agentId, refusal) {
    this.session.abort();
    const { signal } = this.session = new AbortController();
    const shown = this.agent?.id;
    this.agent = null;
    this.runId = "";
    this.isStopping = false;
    this.queue = [];
    this.pending = [];
    this.view.older(false);
    this.view.figures("");
    this.view.mode("loading", "");
    const call = (ask) => patiently(ask, signal, (isUp) => this.view.link(isUp));
    try {
      const agent = await call(() => getAgent(agentId));
      await this.startAgain(agentId, signal).catch((error) => refusal = error);
      const conversationId = await call(() => defaultConversation(agentId));
      const states = ["RUN_STATE_QUEUED", "RUN_STATE_RUNNING"];
      const runs = await call(() => listRuns({ agentId, conversationId, states }));
      const page = await call(() => listMessages(agentId));
      const waiting = await call(() => listRuns({ agentId, conversationId, hasPendingActions: "true" }));
      if (signal.aborted) return;
      this.agent = agent;
      this.view.opened(agent);
      this.transcript.clear(agent.name || "Agent");
      this.memory.show(agent);
      const running = new Set(runs.map((run) => run.id));
      this.transcript.show(page.messages.filter((message) => !message.stepId || !running.has(message.runId ?? "")));
      this.more(page.older);
      this.view.mode("idle", "");
      if (refusal) this.failed(refusal);
      const [active, queued] = [runs.filter((run) => !isQueued(run)), runs.filter(isQueued)];
      for (const run of active) await this.run({ runId: run.id }, signal);
      if (signal.aborted) return;
      if (!this.pending.length) this.ask(waiting.flatMap((run) => running.has(run.id) ? [] : run.pendingActions ?? []));
      this.queue = queued.map((run) => run.id);
      await this.goOn(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!this.agent) this.shut(agentId === shown);
      this.failed(error);
    }
  }
  /** End what could not be opened. What is shown of the same agent may still be read. */
  shut(isSame) {
    if (!isSame) {
      this.transcript.clear("");
      this.memory.clear();
    }
    this.view.mode("closed", "");
  }
  async older() {
    if (!this.agent || !this.olderToken) return;
    const { signal } = this.session;
    const token = this.olderToken;
    this.olderToken = "";
    try {
      const page = await listMessages(this.agent.id, token);
      if (signal.aborted) return;
      this.view.keeping(() => this.transcript.show(page.messages, "beginning"));
      this.more(page.older);
    } catch (error) {
      if (signal.aborted) return;
      this.more(token);
      this.failed(error);
    }
  }
  more(token) {
    this.olderToken = token;
    this.view.older(token !== "");
  }
  /** Follow what is queued, one run after the other; while a question is open none of them can start. */
  async goOn(signal) {
    while (this.queue.length && !signal.aborted) {
      if (this.pending.length) return this.watch(this.queue[0], signal);
      await this.run({ runId: this.queue.shift() }, signal);
    }
  }
  /** Wait for a word of the run behind a question. It is said when somebody else has answered, or cancelled the run. */
  async watch(runId, outer) {
    this.watching = new AbortController();
    const signal = AbortSignal.any([outer, this.watching.signal]);
    for await (const _ of follow({ runId }, signal, { onRun: () => {
    }, onLink: this.view.link })) break;
    const { agent } = this;
    if (signal.aborted || !agent) return;
    const query = { agentId: agent.id, hasPendingActions: "true" };
    const waiting = await patiently(() => listRuns(query), signal, this.view.link).catch((error) => {
      if (!signal.aborted) throw error;
    });
    if (signal.aborted || !waiting) return;
    const open = new Set(waiting.flatMap((run) => run.pendingActions ?? []).map((action) => action.toolCallId));
    if (!this.pending.every((action) => open.has(action.toolCallId))) return this.open(agent.id);
    this.queue = this.queue.filter((id) => id !== runId);
    await this.goOn(outer);
  }
  /** Look whether somebody else has gone on with the conversation. */
  async lookAgain() {
    if (!this.agent || this.isAnswering) return;
    const { id } = this.agent;
    const { signal } = this.session;
    const newest = await listMessages(id, "", 1).catch(() => null);
    const message = newest?.messages[0];
    const isNew = message && !message.decisions && !message.toolReturns && !this.transcript.knows(message.id);
    if (isNew && !signal.aborted && !this.isAnswering) await this.open(id);
  }
  async send(text) {
    if (!this.agent || this.isAnswering) return;
    const requestId = newId();
    this.transcript.say(requestId, text);
    const policy = this.pending.length ? { conflictPolicy: "CONFLICT_POLICY_INTERRUPT" } : {};
    const reason = "You wrote a message instead.";
    this.transcript.decided(this.pending.map((action) => ({ toolCallId: action.toolCallId ?? "", deny: { reason } })));
    const run = { messages: [{ otid: requestId, user: { text } }], ...policy };
    await this.begin({ agentId: this.agent.id, requestId, run }, text);
  }
  async stop() {
    if (!this.isAnswering || this.isStopping) return;
    this.isStopping = true;
    if (this.runId && this.runId !== STARTING) await this.cancel(this.runId);
  }
  async cancel(runId) {
    const { signal } = this.session;
    try {
      await patiently(() => cancelRun(runId), signal, () => {
      });
    } catch (error) {
      this.isStopping = false;
      if (!signal.aborted) this.failed(error);
    }
  }
  async begin(start2, text) {
    const { signal } = this.session;
    sessionStorage.setItem(START, JSON.stringify(start2));
    this.watching.abort();
    try {
      await this.run(start2, signal);
    } catch (error) {
      if (signal.aborted) return;
      sessionStorage.removeItem(START);
      this.transcript.unsay(start2.requestId);
      this.view.restore(text);
      return this.refused(error);
    }
    await this.goOn(signal).catch((error) => signal.aborted || this.failed(error));
  }
  /** Have the server accept what an earlier page may have lost on the way to it; rejects if it was refused. */
  async startAgain(agentId, signal) {
    const kept = sessionStorage.getItem(START);
    const start2 = kept ? JSON.parse(kept) : null;
    if (start2?.agentId !== agentId) return;
    try {
      await patiently(() => createRun(start2.agentId, start2.requestId, start2.run), signal, this.view.link);
    } catch (error) {
      if (!signal.aborted) this.view.restore(start2.run.messages[0]?.user?.text ?? "");
      throw error;
    } finally {
      if (!signal.aborted) sessionStorage.removeItem(START);
    }
  }
  /** Follow a run to its end. Rejects with ApiError if it was refused. */
  async run(what, signal) {
    const isReplay = "runId" in what;
    const meter = new Meter(isReplay);
    const ticking = setInterval(() => this.view.figures(meter.now), METER_MS);
    this.runId = isReplay ? what.runId : STARTING;
    this.pending = [];
    this.view.mode("answering", "");
    this.view.announce(`${this.agent?.name || "The agent"} is answering.`);
    let finished = null;
    try {
      for await (const event of follow(what, signal, { onRun: (id) => this.accepted(id), onLink: this.view.link })) {
        if (signal.aborted) return;
        meter.see(event);
        this.transcript.apply(event);
        if (event.toolReturn) void this.memory.refresh();
        if (event.runFinished) finished = event.runFinished.run;
      }
    } finally {
      clearInterval(ticking);
      if (!signal.aborted) this.ended(finished);
    }
  }
  accepted(runId) {
    sessionStorage.removeItem(START);
    this.runId = runId;
    if (this.isStopping) void this.cancel(runId);
  }
  ended(run) {
    this.runId = "";
    this.isStopping = false;
    this.view.figures("");
    this.view.mode("idle", "");
    if (!run) return;
    this.transcript.finish(run, figuresOf(run));
    void this.memory.refresh();
    if (run.pendingActions?.length) this.ask(run.pendingActions);
    else this.view.announce("The answer is complete.");
  }
  ask(actions) {
    this.pending = actions;
    this.answers.clear();
    if (!actions.length) return;
    this.transcript.ask(actions, (id, answer) => this.answered(id, answer));
    const calls = actions.length === 1 ? "A tool call waits" : `${actions.length} tool calls wait`;
    this.view.mode("asking", `${calls} for your answer. If you write instead, ${actions.length === 1 ? "it is" : "they are"} denied.`);
    this.view.announce(`${calls} for your answer.`);
  }
  /** Collect answers, and send them together once each call has one. */
  answered(id, answer) {
    if (answer) this.answers.set(id, answer);
    else this.answers.delete(id);
    const open = this.pending.length - this.answers.size;
    if (open) {
      this.view.mode("asking", `${this.answers.size} of ${this.pending.length} answered; sent together with the last one.`);
      return;
    }
    const answers = [...this.answers.values()];
    const decisions = answers.flatMap((one) => "decision" in one ? [one.decision] : []);
    const returns = answers.flatMap((one) => "toolReturn" in one ? [one.toolReturn] : []);
    const messages = [];
    if (decisions.length) messages.push({ approval: { decisions } });
    if (returns.length) messages.push({ toolReturns: { returns } });
    this.view.focus();
    this.transcript.decided(decisions);
    void this.begin({ agentId: this.agent.id, requestId: newId(), run: { messages } }, "");
  }
  /** A start that the server did not take: show how the conversation stands, which may have gone on without this page, and why. */
  async refused(error) {
    if (error instanceof ApiError && error.status !== 401 && this.agent) await this.open(this.agent.id, error);
    else this.failed(error);
  }
  failed(error) {
    if (error instanceof ApiError && error.status === 401) this.view.needsKey();
    const text = error instanceof ApiError ? error.message : `The page failed: ${error}`;
    this.transcript.note(text, "failed");
    this.view.announce(text);
    if (!(error instanceof ApiError)) console.error(error);
  }
};
function isQueued(run) {
  return run.state === "RUN_STATE_QUEUED";
}
var STARTING = "starting";
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 15 | 64;
  bytes[8] = bytes[8] & 63 | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

// src/composer.ts
var Composer = class {
  constructor(onSend, onStop) {
    this.onSend = onSend;
    this.onStop = onStop;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.field.addEventListener("input", () => this.update());
    this.stopButton.addEventListener("click", () => this.stop());
    addEventListener("keydown", (event) => {
      const isTaken = event.defaultPrevented || document.querySelector("dialog[open]");
      if (event.key === "Escape" && this.state === "answering" && !isTaken) this.stop();
    });
  }
  onSend;
  onStop;
  form = byId("composer");
  field = byId("message");
  sendButton = byId("send");
  stopButton = byId("stop");
  hint = byId("hint");
  state = "closed";
  mode(mode, hint) {
    this.state = mode;
    this.hint.textContent = hint;
    const isAnswering = mode === "answering";
    const hadFocus = document.activeElement === this.stopButton;
    this.stopButton.hidden = !isAnswering;
    this.stopButton.disabled = false;
    this.sendButton.hidden = isAnswering;
    this.field.disabled = mode === "closed";
    if (hadFocus && !isAnswering) this.field.focus();
    this.update();
  }
  /** Give back what was not sent, unless the person has written on. */
  restore(text) {
    if (!this.field.value) this.field.value = text;
    this.update();
  }
  send() {
    const text = this.field.value.trim();
    if (!text || !(this.state === "idle" || this.state === "asking")) return;
    this.field.value = "";
    this.update();
    this.field.focus();
    this.onSend(text);
  }
  stop() {
    this.stopButton.disabled = true;
    this.field.focus();
    this.onStop();
  }
  key(event) {
    const isPhone = matchMedia("(pointer: coarse)").matches;
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || isPhone) return;
    event.preventDefault();
    this.send();
  }
  update() {
    this.sendButton.disabled = !this.field.value.trim() || !(this.state === "idle" || this.state === "asking");
  }
};

// src/wire.ts
var DEFAULT_BLOCK_LIMIT = 2e4;

// src/memory.ts
var Memory = class {
  constructor(root) {
    this.root = root;
  }
  root;
  forms = /* @__PURE__ */ new Map();
  agentId = "";
  show(agent) {
    if (agent.id !== this.agentId) this.forms.clear();
    this.agentId = agent.id;
    const blocks = agent.memoryBlocks ?? [];
    const known = this.forms;
    this.forms = new Map(blocks.map((block) => [block.label ?? "", known.get(block.label ?? "") ?? new BlockForm(agent.id)]));
    for (const block of blocks) this.forms.get(block.label ?? "").take(block);
    const forms = [...this.forms.values()].map((form) => form.root);
    if (forms.length !== this.root.childElementCount || forms.some((form, index) => this.root.children[index] !== form)) {
      this.root.replaceChildren(...forms);
    }
    if (!forms.length) this.root.replaceChildren(element("p", { class: "dim" }, "This agent has no memory blocks."));
  }
  /** Look again: the agent may have written something. */
  async refresh() {
    const agentId = this.agentId;
    try {
      const agent = await getAgent(agentId);
      if (agentId === this.agentId) this.show(agent);
    } catch {
    }
  }
  clear() {
    this.agentId = "";
    this.forms.clear();
    this.root.replaceChildren();
  }
};
function asInFields(text) {
  return text.replace(/\r\n?/g, "\n");
}
var BlockForm = class {
  constructor(agentId) {
    this.agentId = agentId;
    const id = freshId();
    this.field.id = id;
    this.title.htmlFor = id;
    this.counter.id = `${id}-count`;
    this.field.setAttribute("aria-describedby", this.counter.id);
    this.field.addEventListener("input", () => this.update());
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.root.requestSubmit();
    });
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    const row = element("div", { class: "row" }, this.counter, this.revert, this.save);
    this.root.append(this.title, this.about, this.field, row, this.said);
  }
  agentId;
  root = element("form", { class: "block" });
  stored = {};
  title = element("label", { class: "block-name" });
  about = element("p", { class: "dim" });
  field = element("textarea", { rows: "5", spellcheck: "false", dir: "auto" });
  counter = element("span", { class: "counter" });
  said = element("div", { class: "said", role: "status" });
  save = element("button", { type: "submit", class: "primary" }, "Save");
  revert = button("Revert", "", () => this.take(this.stored, true));
  get isEdited() {
    return this.field.value !== asInFields(this.stored.value ?? "");
  }
  get limit() {
    return this.stored.limit ?? DEFAULT_BLOCK_LIMIT;
  }
  /** Show a block as stored; what a person is writing stays, with a word about it. */
  take(block, isForced = false) {
    const wasEdited = this.isEdited && !isForced;
    const hasChanged = block.value !== this.stored.value && this.stored.version !== void 0;
    this.stored = block;
    this.title.textContent = block.label ?? "";
    this.about.textContent = block.description ?? "";
    this.about.hidden = !block.description;
    if (!wasEdited) {
      this.field.value = block.value ?? "";
      this.said.replaceChildren();
    } else if (hasChanged && this.isEdited) this.conflict();
    this.update();
  }
  update() {
    const length = [...this.field.value].length;
    const isOver = length > this.limit;
    this.counter.textContent = `${length.toLocaleString("en")} / ${this.limit.toLocaleString("en")}`;
    this.counter.classList.toggle("over", isOver);
    this.field.setAttribute("aria-invalid", String(isOver));
    this.save.disabled = isOver || !this.isEdited;
    this.revert.disabled = !this.isEdited;
  }
  async send() {
    if (this.save.disabled) return;
    this.save.disabled = true;
    try {
      const block = await updateBlock(this.agentId, this.stored.label ?? "", this.field.value, this.stored.version ?? 0);
      this.take(block);
      this.said.replaceChildren("Saved.");
    } catch (error) {
      if (error instanceof ApiError && error.reason === "CONCURRENT_CHANGE") await this.refetch();
      else this.said.replaceChildren(`Not saved: ${error instanceof ApiError ? error.message : "the server is out of reach."}`);
      this.update();
    }
  }
  async refetch() {
    const agent = await getAgent(this.agentId).catch(() => null);
    const block = agent?.memoryBlocks?.find((one) => one.label === this.stored.label);
    if (block) this.take(block);
    this.conflict();
  }
  conflict() {
    const theirs = element("pre", { dir: "auto" }, this.stored.value ?? "");
    const keep = button("Save mine over it", "", () => this.root.requestSubmit());
    const drop = button("Take theirs", "", () => this.take(this.stored, true));
    this.said.replaceChildren(
      element("p", { class: "fault" }, "It was changed meanwhile, by the agent or somebody else. It now says:"),
      theirs,
      element("div", { class: "row" }, keep, drop)
    );
  }
};

// src/scrolling.ts
var NEAR_PIXELS = 80;
var Scrolling = class {
  pane = byId("pane");
  jump = byId("jump");
  isFollowing = true;
  top = 0;
  constructor(content) {
    this.pane.addEventListener("scroll", () => this.look(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.follow()).observe(content);
    new ResizeObserver(() => this.follow()).observe(this.pane);
  }
  toEnd() {
    this.isFollowing = true;
    this.follow();
  }
  /** Do something above what is in view, which stays where it is. */
  keeping(change) {
    const below = this.pane.scrollHeight - this.pane.scrollTop;
    change();
    this.pane.scrollTop = this.pane.scrollHeight - below;
  }
  look() {
    const { scrollHeight, scrollTop, clientHeight } = this.pane;
    if (scrollHeight - scrollTop - clientHeight < NEAR_PIXELS) this.isFollowing = true;
    else if (scrollTop < this.top) this.isFollowing = false;
    this.top = scrollTop;
    this.jump.hidden = this.isFollowing;
  }
  follow() {
    if (this.isFollowing) this.pane.scrollTop = this.pane.scrollHeight;
    this.look();
  }
};

// src/markdown.ts
var FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
var HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
var RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
var ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+)(?=\S)/;
var QUOTE = /^ {0,3}> ?/;
var DEEPEST = 8;
function blocksOf(text) {
  const blocks = [];
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  for (let at = 0; at < lines.length; ) {
    const end = endOfBlock(lines, at);
    const block = lines.slice(at, end).join("\n");
    if (block.trim()) blocks.push(block);
    at = end;
  }
  return blocks;
}
function endOfBlock(lines, at) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return endOfFence(lines, at, fence[1]);
  if (!line.trim() || HEADING.test(line) || RULE.test(line)) return at + 1;
  if (ITEM.test(line)) return endOfList(lines, at);
  const isQuote = QUOTE.test(line);
  let end = at + 1;
  while (end < lines.length && (isQuote ? QUOTE.test(lines[end]) : goesOn(lines[end]))) end += 1;
  return end;
}
function goesOn(line) {
  return line.trim() !== "" && ![FENCE, HEADING, RULE, QUOTE, ITEM].some((beginning) => beginning.test(line));
}
function endOfFence(lines, at, mark) {
  for (let end = at + 1; end < lines.length; end += 1) {
    const line = lines[end].trim();
    if (line.startsWith(mark) && line.replaceAll(mark[0], "") === "") return end + 1;
  }
  return lines.length;
}
function endOfList(lines, at) {
  const isOrdered = /^\s*\d/.test(lines[at]);
  let indent = ITEM.exec(lines[at])[0].length;
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (!line.trim() || leadingSpaces(line) >= indent) continue;
    const item = ITEM.exec(line);
    if (item ? /^\d/.test(item[2]) !== isOrdered || RULE.test(line) : !(lines[end - 1].trim() && goesOn(line))) break;
    if (item) indent = item[0].length;
  }
  return end;
}
function leadingSpaces(line) {
  return line.length - line.trimStart().length;
}
function parseBlock(source, depth = 0) {
  const lines = source.split("\n");
  const first = lines[0];
  const fence = FENCE.exec(first);
  if (fence) {
    const isClosed = lines.length > 1 && endOfFence(lines, 0, fence[1]) === lines.length && isFenceEnd(lines.at(-1), fence[1]);
    return { kind: "code", language: fence[2].trim().split(/\s/, 1)[0], text: lines.slice(1, isClosed ? -1 : void 0).join("\n") };
  }
  const heading = HEADING.exec(first);
  if (heading) return { kind: "heading", level: heading[1].length, inside: inline(heading[2].trimEnd()) };
  if (RULE.test(first)) return { kind: "rule" };
  if (depth < DEEPEST && ITEM.test(first)) return list(lines, depth);
  if (depth < DEEPEST && QUOTE.test(first)) {
    const text = lines.map((line) => line.replace(QUOTE, "")).join("\n");
    return { kind: "quote", inside: blocksOf(text).map((block) => parseBlock(block, depth + 1)) };
  }
  return { kind: "paragraph", inside: inline(source) };
}
function isFenceEnd(line, mark) {
  return line.trim().startsWith(mark) && line.trim().replaceAll(mark[0], "") === "";
}
function list(lines, depth) {
  const items = [];
  let indent = 0;
  for (const line of lines) {
    const item = items.length && leadingSpaces(line) >= indent ? null : ITEM.exec(line);
    if (item) {
      items.push([line.slice(item[0].length)]);
      indent = item[0].length;
    } else {
      items.at(-1).push(line.replace(new RegExp(`^ {0,${indent}}`), ""));
    }
  }
  const number = /^\s*(\d+)/.exec(lines[0]);
  const inside = items.map((item) => blocksOf(item.join("\n")).map((block) => parseBlock(block, depth + 1)));
  return { kind: "list", start: number ? Number(number[1]) : null, items: inside };
}
var LINK = /!?\[([^\[\]]{0,1000})\]\(\s*<?([^\s()<>]{1,2000}(?:\([^\s()]{0,200}\))?[^\s()<>]{0,2000})>?(?:\s+"[^"]{0,1000}")?\s*\)/y;
var BARE = /https?:\/\/[^\s<>"'`]{1,2000}/y;
var WORD = /[\p{L}\p{N}]/u;
function inline(text, depth = 0) {
  const found = [];
  const unclosed = /* @__PURE__ */ new Set();
  const pairs = depth < DEEPEST ? pairsOf(text) : /* @__PURE__ */ new Map();
  let plain = "";
  const add = (one) => {
    if (plain) found.push({ kind: "text", text: plain });
    plain = "";
    found.push(one);
  };
  let at = 0;
  while (at < text.length) {
    const special = specialAt(text, at, depth, unclosed, pairs);
    if (special) {
      add(special.inline);
      at = special.end;
    } else if (text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  if (plain) found.push({ kind: "text", text: plain });
  return found;
}
function specialAt(text, at, depth, unclosed, pairs) {
  switch (text[at]) {
    case "\n":
      return { inline: { kind: "break" }, end: at + 1 };
    case "`":
      return codeAt(text, at, unclosed);
    case "[":
    case "!":
      return depth < DEEPEST ? linkAt(text, at, depth) : null;
    case "h":
      return bareLinkAt(text, at);
    case "*":
    case "_":
    case "~":
      return pairAt(text, at, depth, pairs);
    default:
      return null;
  }
}
function codeAt(text, at, unclosed) {
  let mark = "`";
  while (text[at + mark.length] === "`") mark += "`";
  if (unclosed.has(mark)) return { inline: { kind: "text", text: mark }, end: at + mark.length };
  for (let end = text.indexOf(mark, at + mark.length); end >= 0; end = text.indexOf(mark, end)) {
    let length = mark.length;
    while (text[end + length] === "`") length += 1;
    if (length === mark.length) {
      const inside = text.slice(at + mark.length, end).replaceAll("\n", " ");
      const isPadded = inside.startsWith(" ") && inside.endsWith(" ") && inside.trim() !== "";
      return { inline: { kind: "code", text: isPadded ? inside.slice(1, -1) : inside }, end: end + length };
    }
    end += length;
  }
  unclosed.add(mark);
  return { inline: { kind: "text", text: mark }, end: at + mark.length };
}
function linkAt(text, at, depth) {
  LINK.lastIndex = at;
  const link = LINK.exec(text);
  const url = link && safeUrl(link[2]);
  return link && url ? { inline: { kind: "link", url, inside: inline(link[1] || url, depth + 1) }, end: LINK.lastIndex } : null;
}
function bareLinkAt(text, at) {
  if (at > 0 && WORD.test(text[at - 1])) return null;
  BARE.lastIndex = at;
  const found = BARE.exec(text)?.[0].replace(/[.,;:!?)\]}*_~]+$/, "");
  const url = found && safeUrl(found);
  return url ? { inline: { kind: "link", url, inside: [{ kind: "text", text: found }] }, end: at + found.length } : null;
}
function pairAt(text, at, depth, pairs) {
  const pair = pairs.get(at);
  if (!pair) return null;
  const kind = text[at] === "~" ? "del" : pair.width === 2 ? "strong" : "em";
  return { inline: { kind, inside: inline(text.slice(at + pair.width, pair.end), depth + 1) }, end: pair.end + pair.width };
}
function pairsOf(text) {
  const pairs = /* @__PURE__ */ new Map();
  const open = [];
  const count = /* @__PURE__ */ new Map();
  const unclosed = /* @__PURE__ */ new Set();
  const pop = () => {
    const { mark } = open.pop();
    count.set(mark, count.get(mark) - 1);
  };
  for (let at = 0; at < text.length; ) {
    const mark = text[at];
    if (!"*_~".includes(mark)) {
      at = pastOpaque(text, at, unclosed);
      continue;
    }
    let end = at + 1;
    while (text[end] === mark) end += 1;
    const { opens, closes } = sides(text, at, end);
    while (closes && at < end && count.get(mark)) {
      while (open.at(-1).mark !== mark) pop();
      const below = open.at(-2);
      if (open.at(-1).width !== end - at && below?.mark === mark && below.width === end - at) pop();
      const opened = open.at(-1);
      const width = Math.min(2, opened.width, end - at);
      opened.width -= width;
      pairs.set(opened.at + opened.width, { width, end: at });
      if (!opened.width) pop();
      at += width;
    }
    if (opens && at < end) {
      open.push({ mark, at, width: end - at });
      count.set(mark, (count.get(mark) ?? 0) + 1);
    }
    at = end;
  }
  return pairs;
}
function sides(text, at, end) {
  const [before, behind] = [text[at - 1] ?? "", text[end] ?? ""];
  const isPossible = text[at] !== "~" || end - at === 2;
  const isWord = (one) => text[at] === "_" && WORD.test(one);
  return {
    opens: isPossible && !/^\s?$/.test(behind) && !isWord(before),
    closes: isPossible && !/^\s?$/.test(before) && !isWord(behind)
  };
}
function pastOpaque(text, at, unclosed) {
  switch (text[at]) {
    case "\\":
      return at + 2;
    case "`":
      return codeAt(text, at, unclosed)?.end ?? at + 1;
    case "h":
      return bareLinkAt(text, at)?.end ?? at + 1;
    case "[":
      LINK.lastIndex = at;
      return LINK.test(text) ? LINK.lastIndex : at + 1;
    default:
      return at + 1;
  }
}
function safeUrl(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

// src/prose.ts
var Prose = class {
  root = element("div", { class: "prose" });
  shown = [];
  set(text) {
    const blocks = blocksOf(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.shown[same]) same += 1;
    while (this.root.childNodes.length > same) this.root.lastChild.remove();
    for (const block of blocks.slice(same)) this.root.append(directed(elementOf(parseBlock(block))));
    this.shown = blocks;
  }
};
function directed(block) {
  if (block.tagName !== "HR") block.dir = "auto";
  return block;
}
function elementOf(block) {
  switch (block.kind) {
    case "paragraph":
      return element("p", {}, ...inlines(block.inside));
    case "heading":
      return element(block.level < 3 ? "h3" : "h4", {}, ...inlines(block.inside));
    case "code":
      return codeBlock(block.language, block.text);
    case "list": {
      const items = block.items.map((item) => element("li", {}, ...item.map(elementOf)));
      return block.start === null ? element("ul", {}, ...items) : element("ol", { start: String(block.start) }, ...items);
    }
    case "quote":
      return element("blockquote", {}, ...block.inside.map(elementOf));
    case "rule":
      return element("hr");
  }
}
function codeBlock(language, text) {
  const name = language ? `Code, ${language}` : "Code";
  return element("pre", { tabindex: "0", role: "group", "aria-label": name }, element("code", {}, text));
}
function inlines(all) {
  return all.map((one) => {
    switch (one.kind) {
      case "text":
        return one.text;
      case "code":
        return element("code", {}, one.text);
      case "break":
        return element("br");
      case "link":
        return element("a", { href: one.url, target: "_blank", rel: "noopener noreferrer nofollow" }, ...inlines(one.inside));
      default:
        return element(one.kind, {}, ...inlines(one.inside));
    }
  });
}

// src/bubbles.ts
var PICTURES = /* @__PURE__ */ new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
var Bubble = class {
  root;
  parts = [];
  body = element("div", { class: "body" });
  calls = element("div", { class: "calls" });
  constructor(kind, speaker) {
    const name = element("p", { class: "speaker" }, speaker);
    this.root = element("article", { class: `message ${kind}`, "aria-label": speaker }, name, this.body, this.calls);
  }
  set isBusy(isBusy) {
    this.root.setAttribute("aria-busy", String(isBusy));
  }
  get text() {
    return this.parts.map((part2) => part2 instanceof TextPart ? part2.text : "").join("\n");
  }
  addText(text) {
    const last = this.parts.at(-1);
    if (last instanceof TextPart) last.set(last.text + text);
    else this.add(new TextPart(this.root.classList.contains("agent")), text);
  }
  addReasoning(text) {
    const last = this.parts.at(-1);
    if (last instanceof ReasoningPart) last.set(last.text + text);
    else this.add(new ReasoningPart("Reasoning"), text);
  }
  addCall(card) {
    this.calls.append(card);
  }
  addFooter(text) {
    this.root.querySelector(".figures")?.remove();
    this.root.append(element("p", { class: "figures" }, text));
  }
  /** Show what was stored in place of the deltas. */
  complete(message) {
    const parts = message.content ?? [];
    const isAsStreamed = parts.length === this.parts.length && parts.every((part2, index) => this.parts[index].isOf(part2));
    if (!isAsStreamed) {
      this.parts.length = 0;
      this.body.replaceChildren();
      for (const part2 of parts) this.show(part2);
    } else {
      parts.forEach((part2, index) => this.parts[index].set(part2.text ?? part2.reasoning ?? ""));
    }
    this.parts.forEach((part2) => part2.end());
    this.isBusy = false;
  }
  show(part2) {
    if (part2.text !== void 0) this.add(new TextPart(this.root.classList.contains("agent")), part2.text);
    else if (part2.reasoning !== void 0) this.add(new ReasoningPart("Reasoning"), part2.reasoning);
    else if (part2.summarizedReasoning !== void 0) this.add(new ReasoningPart("Reasoning, summarized"), part2.summarizedReasoning);
    else if (part2.image) this.body.append(picture(part2.image));
    else this.body.append(element("p", { class: "dim" }, "The model reasoned; its provider does not show what."));
  }
  add(part2, text) {
    this.parts.at(-1)?.end();
    this.parts.push(part2);
    this.body.append(part2.root);
    part2.set(text);
  }
};
var TextPart = class {
  root;
  prose;
  isScheduled = false;
  text = "";
  constructor(isMarkdown) {
    this.prose = isMarkdown ? new Prose() : null;
    this.root = this.prose?.root ?? element("div", { class: "plain", dir: "auto" });
  }
  isOf(part2) {
    return part2.text !== void 0;
  }
  set(text) {
    this.text = text;
    if (this.isScheduled) return;
    this.isScheduled = true;
    requestAnimationFrame(() => this.draw());
  }
  end() {
    this.draw();
  }
  draw() {
    this.isScheduled = false;
    if (this.prose) this.prose.set(this.text);
    else this.root.textContent = this.text;
  }
};
var ReasoningPart = class {
  body = element("div", { class: "plain", dir: "auto" });
  summary;
  root;
  isTouched = false;
  text = "";
  constructor(title) {
    this.summary = element("summary", {}, title);
    this.root = element("details", { class: "reasoning", open: true }, this.summary, this.body);
    this.summary.addEventListener("click", () => this.isTouched = true);
  }
  isOf(part2) {
    return part2.reasoning !== void 0;
  }
  set(text) {
    this.text = text;
    this.body.textContent = text;
  }
  end() {
    if (!this.isTouched) this.root.open = false;
  }
};
function picture(image) {
  const kind = image.mediaType ?? "";
  if (!image.data || !PICTURES.has(kind)) return element("p", { class: "dim" }, "[picture]");
  return element("img", { src: `data:${kind};base64,${image.data}`, alt: "Picture in the message" });
}

// src/arguments.ts
var LONGEST = 1e5;
function indented(json2) {
  if (json2.length > LONGEST || !isJson(json2)) return json2;
  let depth = 0;
  let last = "";
  const out = [];
  for (const token of json2.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+/g) ?? []) {
    const isFirst = last === "{" || last === "[";
    if (token === "}" || token === "]") {
      depth -= 1;
      out.push(isFirst ? token : newLine(depth) + token);
    } else if (token === ":") out.push(": ");
    else out.push((isFirst || last === "," ? newLine(depth) : "") + token);
    if (token === "{" || token === "[") depth += 1;
    last = token;
  }
  return out.join("");
}
var LINE = 68;
function compact(json2) {
  const lines = indented(json2).split("\n");
  const line = lines.map((one, index) => one.trim() + (index && one.endsWith(",") ? " " : "")).join("");
  return line.length <= LINE ? line : lines.join("\n");
}
function newLine(depth) {
  return `
${"  ".repeat(depth)}`;
}
function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
function faultOf(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? "" : "Arguments are a JSON object: { … }";
  } catch (error) {
    return `This is not JSON: ${error instanceof Error ? error.message : error}`;
  }
}

// src/question.ts
var LONGEST_REASON = 4096;
var Question = class {
  constructor(action, written, onAnswer) {
    this.action = action;
    this.written = written;
    this.onAnswer = onAnswer;
    this.open();
  }
  action;
  written;
  onAnswer;
  root = element("div", { class: "question" });
  get id() {
    return this.action.toolCallId ?? "";
  }
  get isApproval() {
    return this.action.kind !== "ACTION_KIND_CLIENT_TOOL";
  }
  open() {
    if (!this.isApproval) {
      this.write({ label: "What the tool gave", action: "Send the result", send: (text) => this.returns(text) });
      this.root.prepend(element("p", {}, "Another program was to run this tool. You can answer in its place."));
      return;
    }
    this.root.replaceChildren(
      button("Approve", "primary", () => this.decide({ toolCallId: this.id, approve: {} }, "Will be approved.")),
      button("Edit arguments", "", () => this.edit()),
      button("Deny", "danger", () => this.deny())
    );
  }
  edit() {
    const send = (text) => this.decide({ toolCallId: this.id, approve: { arguments: text } }, "Will be approved with your arguments.");
    this.write({ label: "Arguments, as JSON", action: "Approve with these", send, code: indented(this.written) });
  }
  deny() {
    const send = (reason) => this.decide({ toolCallId: this.id, deny: { reason } }, "Will be denied.");
    this.write({ label: "Why not? The agent is told.", action: "Deny", send });
  }
  returns(text) {
    const status = "TOOL_RETURN_STATUS_SUCCESS";
    this.settle({ toolReturn: { toolCallId: this.id, status, text } }, "Your result will be sent.");
  }
  decide(decision, said) {
    this.settle({ decision }, said);
  }
  settle(answer, said) {
    const change = button("Change", "link", () => {
      this.onAnswer(null);
      this.open();
      this.root.querySelector("button, textarea")?.focus();
    });
    this.root.replaceChildren(element("p", { role: "status" }, said), change);
    change.focus();
    this.onAnswer(answer);
  }
  /** Ask for a text. Escape goes back, Enter sends where one line is enough, Ctrl+Enter always. */
  write({ label, action, send, code }) {
    const isCode = code !== void 0;
    const id = freshId();
    const looks = isCode ? { rows: "5", class: "code" } : { rows: "2", dir: "auto" };
    const field = element("textarea", { id, ...looks, "aria-describedby": `${id}-fault` });
    const wrong = element("p", { class: "fault", id: `${id}-fault`, "aria-live": "polite" });
    const confirm = () => {
      const found = isCode ? faultOf(field.value) : "";
      wrong.textContent = found;
      field.setAttribute("aria-invalid", String(Boolean(found)));
      if (!found) send(field.value.trim());
    };
    field.value = code ?? "";
    if (!isCode && this.isApproval) field.maxLength = LONGEST_REASON;
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.isApproval) {
        event.stopPropagation();
        back();
      } else if (event.key === "Enter" && !event.isComposing && (isCode ? event.ctrlKey || event.metaKey : !event.shiftKey)) {
        event.preventDefault();
        confirm();
      }
    });
    const back = () => {
      this.open();
      this.root.querySelector("button")?.focus();
    };
    const buttons = [button(action, "primary", confirm)];
    if (this.isApproval) buttons.push(button("Back", "", back));
    this.root.replaceChildren(element("label", { for: id }, label), field, wrong, element("div", { class: "row" }, ...buttons));
    if (this.isApproval) field.focus();
  }
};

// src/calls.ts
var SHORT_LINES = 14;
var STATES = {
  written: "is being written",
  waits: "waits for you",
  answered: "answered",
  runs: "is running",
  done: "done",
  failed: "failed",
  denied: "denied"
};
var CallCard = class {
  constructor(id) {
    this.id = id;
    const head = element("div", { class: "call-head" }, element("span", { class: "call-mark", "aria-hidden": "true" }), this.title);
    head.append(this.badge);
    this.root = element("div", { class: "call", role: "group" }, head, this.input, this.rest);
    this.enter("written");
  }
  id;
  root;
  title = element("span", { class: "call-name" });
  badge = element("span", { class: "badge" });
  input = element("pre", { class: "arguments" });
  rest = element("div", { class: "call-rest" });
  output = null;
  question = null;
  written = "";
  isDenied = false;
  get name() {
    return this.title.textContent ?? "";
  }
  /** More of the arguments. */
  write(name, more) {
    this.call(name, this.written + more);
  }
  /** The whole call. */
  call(name, written) {
    this.written = written;
    this.title.textContent = name;
    this.root.setAttribute("aria-label", `Tool call ${name}`);
    this.input.textContent = compact(written);
    this.input.hidden = !written || written === "{}";
  }
  ask(action, onAnswer) {
    this.call(action.name ?? this.name, action.arguments ?? this.written);
    this.question?.root.remove();
    this.question = new Question(action, this.written, onAnswer);
    this.rest.append(this.question.root);
    this.enter("waits");
  }
  decided(decision) {
    this.settle();
    if (decision.deny) {
      this.isDenied = true;
      this.enter("denied");
      if (decision.deny.reason) this.say(`You denied it: ${decision.deny.reason}`);
      return;
    }
    if (decision.approve?.arguments !== void 0) {
      this.call(this.name, decision.approve.arguments);
      this.say("You approved it with these arguments.");
    }
    this.enter("answered");
  }
  runs() {
    this.settle();
    this.enter("runs");
  }
  /** What the running tool writes. */
  writes(text) {
    if (!this.output) {
      this.output = new Fold("Output");
      this.rest.append(this.output.root);
    }
    this.output.set(this.output.text + text);
  }
  note(text) {
    this.say(text);
  }
  returned(value) {
    this.settle();
    const isError = value.status === "TOOL_RETURN_STATUS_ERROR";
    this.enter(this.isDenied ? "denied" : isError ? "failed" : "done");
    const lines = [...value.stdout ?? [], ...value.stderr ?? []].join("\n");
    if (lines && !this.output) this.writes(lines);
    this.rest.querySelector(".result")?.remove();
    const text = value.text ?? (value.content?.parts ?? []).map(textOf).join("\n");
    if (!text || this.isDenied) return;
    const result = new Fold(isError ? "Error" : "Result");
    result.root.classList.add("result");
    result.set(text);
    this.rest.append(result.root);
  }
  settle() {
    this.question?.root.remove();
    this.question = null;
  }
  say(text) {
    this.rest.append(element("p", { class: "call-note" }, text));
  }
  enter(state) {
    this.root.dataset["state"] = state;
    this.badge.textContent = STATES[state];
  }
};
var Fold = class {
  constructor(title) {
    this.title = title;
    this.summary.addEventListener("click", () => this.isTouched = true);
  }
  title;
  summary = element("summary");
  body = element("pre", { dir: "auto" });
  root = element("details", { open: true }, this.summary, this.body);
  text = "";
  isTouched = false;
  set(text) {
    this.text = text;
    this.body.textContent = text;
    const lines = text.split("\n").length;
    this.summary.textContent = lines > 1 ? `${this.title} · ${lines} lines` : this.title;
    if (!this.isTouched && this.title !== "Output") this.root.open = lines <= SHORT_LINES;
  }
};
function textOf(part2) {
  return part2.text ?? (part2.image ? "[picture]" : "");
}

// src/transcript.ts
var Transcript = class {
  constructor(root) {
    this.root = root;
  }
  root;
  bubbles = /* @__PURE__ */ new Map();
  cards = /* @__PURE__ */ new Map();
  // What is known of calls that are not on the page: an older page may bring them.
  returns = /* @__PURE__ */ new Map();
  decisions = /* @__PURE__ */ new Map();
  speaker = "Agent";
  clear(speaker) {
    this.speaker = speaker;
    this.root.replaceChildren();
    for (const all of [this.bubbles, this.cards, this.returns, this.decisions]) all.clear();
  }
  get isEmpty() {
    return this.root.childElementCount === 0;
  }
  knows(messageId) {
    return this.bubbles.has(messageId);
  }
  /** Add messages behind what is shown, or ahead of it. */
  show(messages, where = "end") {
    const place = document.createDocumentFragment();
    for (const message of messages) this.store(message, place);
    if (where === "end") this.root.append(place);
    else this.root.prepend(place);
  }
  /** Show what the person says before the server has stored it. */
  say(otid, text) {
    const bubble = new Bubble("person", "You");
    bubble.addText(text);
    this.bubbles.set(otid, bubble);
    this.root.append(bubble.root);
  }
  /** Take back what was not accepted. */
  unsay(otid) {
    this.drop(otid);
  }
  note(text, kind = "") {
    this.root.append(element("p", { class: `event ${kind}` }, text));
  }
  apply(event) {
    if (event.messageStarted) this.bubble(event.messageStarted.messageId).isBusy = true;
    else if (event.textDelta) this.bubble(event.textDelta.messageId).addText(event.textDelta.text ?? "");
    else if (event.reasoningDelta?.text) this.bubble(event.reasoningDelta.messageId).addReasoning(event.reasoningDelta.text);
    else if (event.toolCallDelta) {
      const { messageId, toolCallId, name, arguments: more } = event.toolCallDelta;
      this.card(toolCallId, this.bubble(messageId)).write(name ?? "", more ?? "");
    } else if (event.messageCompleted) this.store(event.messageCompleted.message, this.root);
    else if (event.toolExecutionStarted) this.cards.get(event.toolExecutionStarted.toolCallId)?.runs();
    else if (event.toolOutputDelta) {
      this.cards.get(event.toolOutputDelta.toolCallId)?.writes(event.toolOutputDelta.text ?? "");
    } else if (event.toolReturn) this.return(event.toolReturn);
    else if (event.childRunStarted) {
      this.cards.get(event.childRunStarted.toolCallId ?? "")?.note(`Asked ${event.childRunStarted.agentId}.`);
    } else if (event.stepRestarted) event.stepRestarted.voidMessageIds?.forEach((id) => this.drop(id));
    else if (event.contextCompacted) {
      this.note(`${event.contextCompacted.droppedMessages ?? 0} older messages left the model's context. They stay here.`);
    }
  }
  /** Write under the newest answer of a run what it cost, and behind it how it ended if not well. */
  finish(run, figures) {
    for (const bubble of this.bubbles.values()) bubble.isBusy = false;
    const answers = this.root.querySelectorAll(".message.agent");
    const last = answers[answers.length - 1];
    if (last && figures) {
      last.querySelector(".figures")?.remove();
      last.append(element("p", { class: "figures" }, figures));
    }
    if (run.state === "RUN_STATE_FAILED") {
      this.note(`The run failed: ${run.error?.message ?? ""} (${run.error?.reason ?? run.stopReason ?? "unknown"})`, "failed");
    } else if (run.state === "RUN_STATE_CANCELLED") this.note("Stopped.");
    else if (run.stopReason === "STOP_REASON_MAX_STEPS") this.note("The run took all of its steps.");
    else if (run.stopReason === "STOP_REASON_MAX_TOKENS") this.note("The model reached its output limit.");
    else if (run.stopReason === "STOP_REASON_CONTENT_FILTER") this.note("The provider cut the answer for what it says.");
  }
  /** Ask about calls that wait. */
  ask(actions, onAnswer) {
    for (const action of actions) {
      const id = action.toolCallId ?? "";
      const card = this.cards.get(id) ?? this.card(id, this.bubble(`waits-${id}`));
      card.ask(action, (answer) => onAnswer(id, answer));
    }
  }
  decided(decisions) {
    for (const decision of decisions) {
      this.decisions.set(decision.toolCallId, decision);
      this.cards.get(decision.toolCallId)?.decided(decision);
    }
  }
  /** Return the text of the newest answer, to be read out. */
  newest(messageId) {
    return this.bubbles.get(messageId)?.text ?? "";
  }
  store(message, place) {
    if (message.decisions?.length) return this.decidedBefore(message.decisions);
    if (message.toolReturns?.length) return message.toolReturns.forEach((one) => this.return(one));
    const known = this.bubbles.get(message.id) ?? (message.otid ? this.bubbles.get(message.otid) : void 0);
    const bubble = known ?? this.made(message, place);
    this.bubbles.set(message.id, bubble);
    if (message.otid) this.bubbles.delete(message.otid);
    bubble.complete(message);
    for (const call of message.toolCalls ?? []) {
      const id = call.id ?? "";
      const card = this.card(id, bubble);
      card.call(call.name ?? "", call.arguments ?? "");
      const decision = this.decisions.get(id);
      if (decision) card.decided(decision);
      const value = this.returns.get(id);
      if (value) card.returned(value);
    }
  }
  /** A stored answer, which the page may have shown when it was given. */
  decidedBefore(decisions) {
    this.decided(decisions.filter((decision) => !this.decisions.has(decision.toolCallId)));
  }
  return(value) {
    const id = value.toolCallId ?? "";
    const isKnown = this.returns.has(id);
    this.returns.set(id, value);
    if (!isKnown) this.cards.get(id)?.returned(value);
  }
  made(message, place) {
    const bubble = this.kindOf(message);
    place.append(bubble.root);
    return bubble;
  }
  kindOf(message) {
    if (message.role === "ROLE_USER" && !message.stepId) return new Bubble("person", message.name || "You");
    if (message.role === "ROLE_ASSISTANT" || message.role === "ROLE_APPROVAL") return new Bubble("agent", this.speaker);
    if (message.role === "ROLE_SUMMARY") return new Bubble("note", "Summary of what came before");
    return new Bubble("note", "Told to the agent");
  }
  bubble(id) {
    let bubble = this.bubbles.get(id);
    if (!bubble) {
      bubble = new Bubble("agent", this.speaker);
      this.bubbles.set(id, bubble);
      this.root.append(bubble.root);
    }
    return bubble;
  }
  card(id, bubble) {
    let card = this.cards.get(id);
    if (!card) {
      card = new CallCard(id);
      this.cards.set(id, card);
      bubble.addCall(card.root);
    }
    return card;
  }
  drop(id) {
    const bubble = this.bubbles.get(id);
    bubble?.root.remove();
    this.bubbles.delete(id);
    for (const [callId, card] of this.cards) if (bubble?.root.contains(card.root)) this.cards.delete(callId);
  }
};

// src/main.ts
var WIDE = "(min-width: 64rem)";
var log = byId("log");
var scrolling = new Scrolling(log);
var transcript = new Transcript(log);
var composer = new Composer(
  (text) => {
    scrolling.toEnd();
    void chat.send(text);
  },
  () => void chat.stop()
);
var view = {
  mode(mode, hint) {
    document.body.dataset["mode"] = mode;
    composer.mode(mode, hint);
    if (mode === "answering") scrolling.toEnd();
    byId("welcome").hidden = !(mode === "closed" && agents.isEmpty);
    byId("greeting").hidden = !(mode === "idle" && transcript.isEmpty);
  },
  figures: (text) => byId("figures").textContent = text,
  link(isUp) {
    byId("link").hidden = isUp;
  },
  announce: (text) => byId("announcement").textContent = text,
  focus: () => byId("message").focus(),
  restore: (text) => composer.restore(text),
  opened: (agent) => agents.know(agent),
  needsKey: () => openKey("This server wants an API key."),
  older(hasMore) {
    const button2 = byId("older");
    if (!hasMore && document.activeElement === button2) byId("pane").focus({ preventScroll: true });
    button2.hidden = !hasMore;
  },
  keeping: (change) => scrolling.keeping(change)
};
var chat = new Chat(transcript, new Memory(byId("blocks")), view);
var agents = new AgentList((id) => id ? void chat.open(id) : chat.close());
var newAgent = new NewAgent((agent) => {
  agents.add(agent);
  byId("message").focus();
});
byId("first-agent").addEventListener("click", () => newAgent.open());
byId("older").addEventListener("click", () => void chat.older());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") void chat.lookAgain();
});
function showMemory(isShown) {
  byId("memory").hidden = !isShown;
  byId("toggle-memory").setAttribute("aria-expanded", String(isShown));
}
byId("toggle-memory").addEventListener("click", () => showMemory(byId("memory").hidden === true));
byId("close-memory").addEventListener("click", () => {
  showMemory(false);
  byId("toggle-memory").focus();
});
byId("memory").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || matchMedia(WIDE).matches) return;
  event.preventDefault();
  byId("close-memory").click();
});
showMemory(matchMedia(WIDE).matches);
function openKey(reason) {
  byId("key-reason").textContent = reason;
  byId("key").value = storedKey();
  const dialog = byId("key-dialog");
  faultyKey("");
  if (!dialog.open) dialog.showModal();
}
function faultyKey(fault) {
  byId("key-fault").textContent = fault;
  byId("key").setAttribute("aria-invalid", String(fault !== ""));
}
byId("open-key").addEventListener("click", () => openKey(""));
byId("close-key").addEventListener("click", () => byId("key-dialog").close());
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  if (!isSendable(key)) return faultyKey("A key has only letters, digits and signs of ASCII: a header takes no others.");
  storeKey(key);
  byId("key-dialog").close();
  void begin();
});
async function begin() {
  try {
    await patiently(() => agents.load(), new AbortController().signal, view.link);
  } catch (error) {
    view.mode("closed", "");
    if (error instanceof ApiError && error.status === 401) view.needsKey();
    else transcript.note(error instanceof Error ? error.message : String(error), "failed");
  }
}
void begin();
