"""The gRPC face: protobuf to domain and back, statuses for errors, servicers, the server and a channel without a socket."""
