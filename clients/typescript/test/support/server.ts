// A real server with a database of its own, which can be killed and started again where it was.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, connect } from "letta-grpc/web";
import { type Running, start } from "./processes.js";

export class Server {
  #running: Running | undefined;

  private constructor(
    private readonly folder: string,
    readonly environment: Record<string, string>,
  ) {}

  static async start(environment: Record<string, string> = {}): Promise<Server> {
    const server = new Server(await mkdtemp(join(tmpdir(), "letta-grpc-")), environment);
    await server.start();
    return server;
  }

  /** `host:port` of gRPC. */
  get target(): string {
    return this.#running!.addresses["grpc"]!;
  }

  get url(): string {
    return this.#running!.addresses["http"]!;
  }

  /** A client of the gateway; it holds no connection that had to be closed. */
  get client(): Client {
    return connect(this.url);
  }

  /** Start it; the second time where it was the first. */
  async start(): Promise<void> {
    const { grpc = "127.0.0.1:0", http = "http://127.0.0.1:0" } = this.#running?.addresses ?? {};
    const where = ["--listen", grpc, "--http", http.replace("http://", ""), "--database", `sqlite:///${this.folder}/letta.db`];
    this.#running = await start(["serve", ...where], this.environment);
  }

  async kill(): Promise<void> {
    await this.#running!.end("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What a `scripted/script` agent is told to do: a list of turns, each a list of actions. */
export function script(...turns: readonly object[][]): string {
  return JSON.stringify(turns);
}
