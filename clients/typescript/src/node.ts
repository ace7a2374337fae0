// In Node, over gRPC.

import type { ClientHttp2Stream, Http2Session, SecureClientSessionOptions } from "node:http2";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Client } from "./client.js";
import type { ConnectionOptions } from "./connection.js";
import { InvalidRequestError } from "./errors.js";
import { quietAlarm } from "./waiting.js";

export * from "./index.js";

export interface GrpcOptions extends ConnectionOptions {
  /** True for TLS with the roots that Node knows, or certificates of your own: `{ ca, cert, key }`. */
  tls?: boolean | SecureClientSessionOptions;
}

const DEFAULT_TARGET = "127.0.0.1:50051";
// Servers of ours take a ping every 5 s; a client that pings more often is cut off. A connection that is dead without having
// been closed has to be found out before a stream gives up.
const PINGS = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 };
// A response holds at most 1 MiB of events, or one event of 2 MiB; a page of messages may be larger.
const READ_MAX_BYTES = 64 * 1024 * 1024;

// How long it may take until a server says its first word on a connection. One that has, may be slow to answer a call.
const DIALING_MS = 5_000;

/**
 * Hears every error of its sessions. Node ends a session first and tells its error later, and by then a new call, or `abort`,
 * may have taken the manager's own listener away: an error that nobody hears would end the process.
 *
 * And makes every end of theirs an error: where a session idled, a ping goes ahead of the next call, and below version 2.2,
 * which wants Node 22, the manager waits for ever for the ping of a session that is closed without one.
 */
class HeardSessions extends Http2SessionManager {
  readonly #heard = new WeakSet<Http2Session>();

  override async request(...how: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...how);
    const { session } = stream;
    if (session && !this.#heard.has(session)) {
      this.#heard.add(session.on("error", () => {}).on("close", () => session.emit("error", new Error("closed"))));
      expectAWord(session);
    }
    return stream;
  }
}

/** Ends a session on which its server never says anything. A pause of the process is no silence: what has come by then counts. */
function expectAWord(session: Http2Session): void {
  const look = () => {
    if (!session.destroyed && !session.socket.bytesRead) session.destroy(new Error(`no word within ${DIALING_MS} ms`));
  };
  const timer = quietAlarm(() => setImmediate(look), DIALING_MS);
  session.once("close", () => clearTimeout(timer));
}

/** Return a client of the server at `host:port`; it connects with its first call. */
export function connect(target: string = DEFAULT_TARGET, options: GrpcOptions = {}): Client {
  const { tls = false } = options;
  const baseUrl = `${tls ? "https" : "http"}://${target}`;
  if (target.includes("://") || !URL.canParse(baseUrl)) {
    throw new InvalidRequestError(`target: is host:port, not "${target}"`, { code: "INVALID_ARGUMENT" });
  }
  const sessionManager = new HeardSessions(baseUrl, PINGS, tls === true || !tls ? undefined : tls);
  const transport = createGrpcTransport({ baseUrl, sessionManager, readMaxBytes: READ_MAX_BYTES });
  return new Client(transport, options, () => sessionManager.abort());
}
