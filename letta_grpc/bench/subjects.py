"""What is measured: the upstream itself, or a server in front of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """The bare upstream, asked over HTTP."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A process that answers StreamRun. One without agents is a relay: it keeps no conversations and finishes no runs.

    One with a `web` address is asked there, for server-sent events.
    """

    address: str
    pid: int
    agents: tuple[str, ...] = ()
    web: str = ""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return "letta-grpc" if self.agents else "sse-raw" if self.web else "grpc-raw"


Subject = Direct | Server
