/**
 * Streams the runs of agents from a letta_grpc server.
 *
 * <p>{@link dev.lettagrpc.LettaClient} starts and follows runs; {@link dev.lettagrpc.RunStream} is
 * what a run says, each event exactly once and in order, across broken connections. Requests and
 * events are the generated messages of {@code dev.lettagrpc.v1}, which holds the stubs of every
 * other service too.
 */
package dev.lettagrpc;
