"""The HTTP edge: every RPC as JSON, SSE, NDJSON or WebSocket, from the descriptors alone. The README has the map."""
