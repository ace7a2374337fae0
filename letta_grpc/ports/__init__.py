"""What the engine needs of the world: Protocols over the domain. `letta_grpc.testing` has a contract suite for each."""
