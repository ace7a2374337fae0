"""Resources as the SDKs read them: pure functions from messages of `letta_grpc.v1` to what JSON is made of."""
