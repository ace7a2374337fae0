"""Tools of other servers, by the official `mcp` package, over its stdio and its streamable HTTP transport.

Only `client` is for importing at a start: the package behind the others takes a second to load.
"""
