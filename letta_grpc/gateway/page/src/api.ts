// Calls of the native routes. The key goes as a header, never into a URL, and lives as long as the tab.

import type { Agent, Block, Message, Run, RunSpec } from "./wire.ts";

const KEY = "letta-grpc.key";

/** A failure that the server told. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly reason: string,
    readonly metadata: Record<string, string>,
    readonly retryAfterSeconds: number,
  ) {
    super(message);
  }

  /** Whether the same request may go well later. */
  get isPassing(): boolean {
    return this.status === 429 || this.status === 408 || this.status >= 500;
  }
}

export function storedKey(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Whether a header can carry a key. `fetch` fails with others as if the server were out of reach. */
export function isSendable(key: string): boolean {
  return /^[ -~]*$/.test(key);
}

export function storeKey(key: string): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

export interface Asked {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Send a request. Rejects with ApiError for what the server refuses, with TypeError when it is out of reach. */
export async function request(path: string, asked: Asked = {}): Promise<Response> {
  const headers: Record<string, string> = { ...asked.headers };
  const key = storedKey();
  if (key) headers["authorization"] = `Bearer ${key}`;
  const init: RequestInit = { method: asked.method ?? "GET", headers, cache: "no-store" };
  if (asked.signal) init.signal = asked.signal;
  if (asked.body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(asked.body);
  }
  const response = await fetch(`api/v1/${path}`, init);
  if (!response.ok) throw await failureOf(response);
  return response;
}

async function failureOf(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  try {
    const { error } = await response.json();
    const info = (error.details ?? []).find((detail: Record<string, unknown>) => detail["reason"]) ?? {};
    return new ApiError(response.status, error.message, info.reason ?? error.status, info.metadata ?? {}, retryAfter);
  } catch {
    return new ApiError(response.status, `The server answered with status ${response.status}.`, "", {}, retryAfter);
  }
}

async function json<T>(path: string, asked: Asked = {}): Promise<T> {
  return (await request(path, asked)).json() as Promise<T>;
}

const part = encodeURIComponent;

export async function listAgents(): Promise<Agent[]> {
  const all: Agent[] = [];
  for (let token = ""; ; ) {
    const query = new URLSearchParams({ pageSize: "1000", descending: "true", ...(token ? { pageToken: token } : {}) });
    const page = await json<{ agents?: Agent[]; nextPageToken?: string }>(`agents?${query}`);
    all.push(...(page.agents ?? []));
    token = page.nextPageToken ?? "";
    if (!token) return all;
  }
}

export async function getAgent(id: string): Promise<Agent> {
  return (await json<{ agent: Agent }>(`agents/${part(id)}`)).agent;
}

export async function createAgent(agent: unknown): Promise<Agent> {
  return (await json<{ agent: Agent }>("agents", { method: "POST", body: { agent } })).agent;
}

export async function listModels(): Promise<string[]> {
  const { models } = await json<{ models?: { handle: string }[] }>("models");
  return (models ?? []).map((model) => model.handle);
}

export interface Page {
  messages: Message[];
  older: string;
}

/** Return the newest messages, or those before them: in the order of the conversation. */
export async function listMessages(agentId: string, token = "", size = 50): Promise<Page> {
  const query = new URLSearchParams({ descending: "true", pageSize: String(size) });
  if (token) query.set("pageToken", token);
  const page = await json<{ messages?: Message[]; nextPageToken?: string }>(`agents/${part(agentId)}/messages?${query}`);
  return { messages: (page.messages ?? []).reverse(), older: page.nextPageToken ?? "" };
}

export async function listRuns(query: Record<string, string | string[]>): Promise<Run[]> {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) for (const one of [value].flat()) all.append(name, one);
  return (await json<{ runs?: Run[] }>(`runs?${all}`)).runs ?? [];
}

/** Start a run without following it; known by its request id, it is the run that there is. */
export async function createRun(agentId: string, requestId: string, run: RunSpec): Promise<void> {
  await request(`agents/${part(agentId)}/runs`, { method: "POST", body: { requestId, run } });
}

export async function cancelRun(id: string): Promise<void> {
  await request(`runs/${part(id)}:cancel`, { method: "POST", body: {} });
}

export async function updateBlock(agentId: string, label: string, value: string, version: number): Promise<Block> {
  const body = { block: { value }, updateMask: "value", expectedVersion: version };
  const path = `agents/${part(agentId)}/memory/${part(label)}`;
  return (await json<{ block: Block }>(path, { method: "PATCH", body })).block;
}

/** Return the id of the conversation that is meant when none is named: the agent's first. */
export async function defaultConversation(agentId: string): Promise<string> {
  const path = `agents/${part(agentId)}/conversations?pageSize=1`;
  return (await json<{ conversations?: { id: string }[] }>(path)).conversations?.[0]?.id ?? "";
}
