// Connections as Node has them, to what is no server of ours.

import { equal, ok, rejects, throws } from "node:assert/strict";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, connect as dial, createServer, type Server } from "node:net";
import { test } from "node:test";
import { InvalidRequestError, LettaError, UnavailableError } from "letta-grpc";
import { connect } from "letta-grpc/node";

const REFUSAL = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

async function listening(server: Pick<Server, "listen" | "address">): Promise<number> {
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return (server.address() as AddressInfo).port;
}

test("what speaks no HTTP/2 is out of reach, and ends no process", { timeout: 20_000 }, async () => {
  const proxy = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.end(REFUSAL)));
  const client = connect(`127.0.0.1:${await listening(proxy)}`, { retry: { callAttempts: 1 } });
  // At once one after the other: a session is let go of while it still has its error to tell.
  for (let call = 0; call < 5; call += 1) await rejects(client.agents.listAgents({}), UnavailableError);
  await client.close();
  await new Promise((closed) => proxy.close(closed));
});

test("a connection that nobody answers is given up ahead of the call's time", { timeout: 30_000 }, async () => {
  const ends: Promise<unknown>[] = [];
  const silent = createServer((socket) => {
    ends.push(new Promise((ended) => socket.on("error", ended).on("close", ended).resume()));
  });
  const client = connect(`127.0.0.1:${await listening(silent)}`, { retry: { callAttempts: 2, initialMs: 1 } });
  await rejects(client.stream("agent-1", "Hello!").started(), (error) => error instanceof LettaError && error.isRetryable);
  equal(ends.length, 2);
  await Promise.all(ends);
  await client.close();
  await new Promise((closed) => silent.close(closed));
});

test("a server that is slow to answer is waited for", { timeout: 30_000 }, async () => {
  const server = createHttp2Server().on("stream", (stream) => {
    setTimeout(() => stream.respond({ ":status": 404 }, { endStream: true }), 7_000);
  });
  const client = connect(`127.0.0.1:${await listening(server)}`);
  await rejects(client.agents.listAgents({}), { code: "UNIMPLEMENTED" });
  await client.close();
  await new Promise((closed) => server.close(closed));
});

test("what is no target is refused at once", () => {
  for (const target of ["", "no where:1", "localhost:99999", "https://localhost:1"]) {
    throws(() => connect(target), InvalidRequestError);
  }
});

test("a key that no header takes is refused at once, and not repeated", () => {
  for (const apiKey of ["new\nline", "schlüssel"]) {
    throws(
      () => connect("localhost:1", { apiKey }),
      (error) => error instanceof InvalidRequestError && !error.message.includes(apiKey),
    );
  }
  ok(connect("localhost:1", { apiKey: "as files end\n" }));
});

test("a connection that is closed as its first call for long asks after it is made again", { timeout: 5_000 }, async (t) => {
  t.mock.timers.enable({ apis: ["Date"] });
  const server = createHttp2Server().on("stream", (stream) => stream.respond({ ":status": 404 }, { endStream: true }));
  const port = await listening(server);
  let isClosing = false;
  const proxy = createServer((near) => {
    const far = dial(port, "127.0.0.1").on("data", (data) => near.write(data));
    near.on("data", (data) => (isClosing ? near.end() : far.write(data))).on("close", () => far.destroy());
    isClosing = false;
  });
  const client = connect(`127.0.0.1:${await listening(proxy)}`);
  const answered = () => rejects(client.agents.listAgents({}), { code: "UNIMPLEMENTED" });
  await answered();
  t.mock.timers.tick(60_000);
  isClosing = true;
  await answered();
  await client.close();
  for (const one of [proxy, server]) await new Promise((closed) => one.close(closed));
});
