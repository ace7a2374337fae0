"""One file or folder per technology. Only `letta_grpc.app` names them; they never import each other."""
