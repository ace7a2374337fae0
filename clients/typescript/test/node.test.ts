// Connections as Node has them, to what is no server of ours.

import { ok, rejects, throws } from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { InvalidRequestError, UnavailableError } from "letta-grpc";
import { connect } from "letta-grpc/node";

const REFUSAL = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

test("what speaks no HTTP/2 is out of reach, and ends no process", { timeout: 20_000 }, async () => {
  const proxy = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.end(REFUSAL)));
  await new Promise<void>((listening) => proxy.listen(0, "127.0.0.1", listening));
  const client = connect(`127.0.0.1:${(proxy.address() as AddressInfo).port}`, { retry: { callAttempts: 1 } });
  // At once one after the other: a session is let go of while it still has its error to tell.
  for (let call = 0; call < 5; call += 1) await rejects(client.agents.listAgents({}), UnavailableError);
  await client.close();
  await new Promise((closed) => proxy.close(closed));
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
