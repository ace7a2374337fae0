import { connect } from "letta-grpc/web";

/** One for the whole page. It has no key: where the server wants one, `connect("", { apiKey })`. */
export const client = connect();
