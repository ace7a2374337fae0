"""The client. Written once, here; `letta_grpc.client._sync` is made from it."""
