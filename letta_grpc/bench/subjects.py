"""What is measured: the upstream itself, or a server in front of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """The bare upstream, asked over HTTP."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A process that answers StreamRun. One without agents is the relay: it keeps no conversations and finishes no runs."""

    address: str
    pid: int
    agents: tuple[str, ...] = ()


Subject = Direct | Server
