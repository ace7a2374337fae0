// Servers as their users start them: processes of their own, on free ports.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

const PYTHON = process.env["PYTHON"] ?? "../../.venv/bin/python";
// What would reach into a test from the machine that it runs on.
const FOREIGN = /^(LETTA_GRPC_|OTEL_|OPENAI_|ANTHROPIC_)/;

export interface Running {
  /** What it says of where it listens: `grpc=… http=…`. */
  readonly addresses: Readonly<Record<string, string>>;
  /** End it, at once unless it is asked to. */
  end(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** Run a command of letta-grpc until it accepts calls. */
export async function start(args: readonly string[], environment: Record<string, string> = {}): Promise<Running> {
  const own = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  const env = { ...Object.fromEntries(own), ...environment };
  const child = spawn(PYTHON, ["-m", "letta_grpc", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log = (log + text).slice(-10_000)));
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("close", () => reject(new Error(`letta-grpc ${args.join(" ")} did not start:\n${log}`)));
  });
  const addresses = Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/g)].map(([, name, address]) => [name!, address!]));
  return { addresses, end: (signal = "SIGKILL") => end(child, signal) };
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill(signal);
  return ended;
}
