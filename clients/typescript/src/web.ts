// In a browser, and wherever there is `fetch`, over HTTP: the server's gateway.

import { Client } from "./client.js";
import type { ConnectionOptions } from "./connection.js";
import { type Fetch, GatewayTransport } from "./gateway/transport.js";

export * from "./index.js";

export interface WebOptions extends ConnectionOptions {
  /** In place of the global one. */
  fetch?: Fetch;
}

/** Return a client of the gateway at `baseUrl`, by default where the page comes from. */
export function connect(baseUrl = "", options: WebOptions = {}): Client {
  const { fetch = (url, init) => globalThis.fetch(url, init) } = options;
  return new Client(new GatewayTransport(baseUrl.replace(/\/+$/, ""), fetch), options);
}
