"""What the engine needs of the world: Protocols over the domain. Most have a contract suite, in `letta_grpc.testing`."""
