"""The servicers: each method reads its request, calls its use case, writes its answer."""
