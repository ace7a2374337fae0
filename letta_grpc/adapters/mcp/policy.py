"""Which endpoints callers may register."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from letta_grpc.domain.addresses import is_private_host
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.tools import HttpEndpoint, McpServer, StdioEndpoint

STDIO_REFUSED = (
    "this server starts no commands for its callers. By default one does only while calls need a key, without which a tool "
    "with network could have any command run here, and no other machine can connect; LETTA_GRPC_MCP_STDIO=true allows it"
)
PRIVATE_REFUSED = (
    "must not be an address of a private network: other machines can connect to this server; "
    "LETTA_GRPC_MCP_PRIVATE_ADDRESSES=true allows it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpPolicy:
    """What callers may have this server do: start commands on its machine, reach addresses that only its network reaches."""

    allow_stdio: bool = False
    allow_private_addresses: bool = False

    def check(self, server: McpServer) -> None:
        """Raise InvalidRequest, naming field and setting, for an endpoint that is not allowed.

        A host that is a name is looked up with each request, not here.
        """
        match server.endpoint:
            case StdioEndpoint():
                if not self.allow_stdio:
                    raise InvalidRequest(fields={"server.stdio": STDIO_REFUSED})
            case HttpEndpoint(url=url):
                if rule := self._broken_rule(url):
                    raise InvalidRequest(fields={"server.http.url": rule})

    def _broken_rule(self, url: str) -> str | None:
        parts = _split(url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            return "must be http://… or https://…"
        if parts.username is not None or parts.password is not None:
            return "must not hold credentials: they belong into headers, which are never shown"
        if not self.allow_private_addresses and is_private_host(parts.hostname):
            return PRIVATE_REFUSED
        return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # Raises for what is no port.
    except ValueError:
        return None
    return parts
