"""Whether everything that a server needs is in order on this machine, found out without starting one."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from letta_grpc.adapters.llama import LlamaProvider, LlamaUnavailableError
from letta_grpc.adapters.openai.endpoint import public_url
from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError, without_password
from letta_grpc.app.failures import StartupError
from letta_grpc.app.parts import embedding_model_of, gives_tools_network, keys_of, mcp_policy_of, sandbox_of, tls_of
from letta_grpc.domain.addresses import is_private_host
from letta_grpc.ports.sandbox import Sandbox
from letta_grpc.settings import Provider, Settings


class State(Enum):
    """How something stands on this machine."""

    OK = "ok"
    # It does less than it could, which may be intended.
    LIMITED = "limited"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a server needs, as it is on this machine."""

    subject: str
    state: State
    detail: str


def examine(settings: Settings) -> tuple[Finding, ...]:
    """Look at all that a server with these settings needs, without starting one, changing anything or calling anybody."""
    policy = mcp_policy_of(settings)
    mcp = f"child processes {_permission(policy.allow_stdio)}, private addresses {_permission(policy.allow_private_addresses)}"
    return (
        _database_finding(settings),
        *_address_findings(settings),
        *_tls_findings(settings),
        *_key_findings(settings),
        sandbox_finding(settings, sandbox_of(settings)),
        *(_provider_finding(name, provider) for name, provider in settings.providers.items()),
        *_embedding_findings(settings),
        *_local_findings(settings),
        Finding("mcp", State.OK, mcp),
    )


def _permission(is_allowed: bool) -> str:  # noqa: FBT001 - a word for it
    return "allowed" if is_allowed else "not allowed"


def _database_finding(settings: Settings) -> Finding:
    try:
        backend = backend_of(settings.database)
        revision, weaknesses = backend.current_revision(), backend.weaknesses()
    except DatabaseUnusableError as error:
        return Finding("database", State.FAILED, str(error))
    told = without_password(settings.database)
    is_there = f"{told} has schema {revision}" if revision else f"{told} is set up at the first start"
    detail, state = "; ".join([is_there, *weaknesses]), State.LIMITED if weaknesses else State.OK
    try:
        backend.check_free()
    except DatabaseInUseError as error:
        # Whoever asks wants to know how that server stands, more often than whether another one could start.
        return Finding("database", state, f"{detail}. {error}")
    except DatabaseUnusableError as error:
        return Finding("database", State.FAILED, str(error))
    return Finding("database", state, detail)


def _address_findings(settings: Settings) -> Iterator[Finding]:
    for subject, address in (("listen", settings.listen), ("http", settings.http)):
        host, _, port = (address or "").rpartition(":")
        if address and port.isdigit():
            why = _why_taken(host.strip("[]"), int(port))
            detail = f"cannot listen on {address}: {why}" if why else f"{address} is free"
            yield Finding(subject, State.FAILED if why else State.OK, detail)


def _why_taken(host: str, port: int) -> str | None:
    """Return why nothing can be served on an address, None if it can."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            # As the servers do: a port whose last connections have just ended is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _tls_findings(settings: Settings) -> Iterator[Finding]:
    try:
        if tls_of(settings):
            yield Finding("tls", State.OK, f"{settings.tls_certificate_file} with its key")
    except StartupError as error:
        yield Finding("tls", State.FAILED, error.message)


def _key_findings(settings: Settings) -> Iterator[Finding]:
    if settings.api_keys_file:
        try:
            keys_of(settings)
            yield Finding("api keys", State.OK, str(settings.api_keys_file))
        except StartupError as error:
            yield Finding("api keys", State.FAILED, error.message)


def _embedding_findings(settings: Settings) -> Iterator[Finding]:
    try:
        if embedding_model_of(settings):
            yield Finding("embeddings", State.OK, str(settings.embedding_model))
    except StartupError as error:
        yield Finding("embeddings", State.FAILED, error.message)


def sandbox_finding(settings: Settings, sandbox: Sandbox) -> Finding:
    """Return how tools of Python source run here. Tries it out, which blocks for a moment."""
    why = sandbox.unavailable()
    if why is None:
        network = _permission(gives_tools_network(settings))
        return Finding("sandbox", State.OK, f"tools of Python source run contained, network {network}")
    match settings.tool_sandbox:
        case "off":
            return Finding("sandbox", State.LIMITED, "tools of Python source are refused, as the settings say")
        case "uncontained":
            return Finding("sandbox", State.LIMITED, f"tools of Python source run with the server's own rights: {why}")
        case "require":
            return Finding("sandbox", State.FAILED, f"tools of Python source are refused: {why}")


def _provider_finding(name: str, provider: Provider) -> Finding:
    with_key = "with a key" if provider.key else "without a key"
    # One of one's own, such as Ollama or vLLM, seldom asks for one.
    is_own = is_private_host(urlsplit(provider.base_url).hostname or "")
    state = State.OK if provider.key or is_own else State.LIMITED
    return Finding(f"provider {name}", state, f"{public_url(provider.base_url)}, {with_key}")


def _local_findings(settings: Settings) -> Iterator[Finding]:
    if settings.local_model:
        try:
            LlamaProvider.check(settings.local_model)
        except LlamaUnavailableError as error:
            yield Finding("local model", State.FAILED, str(error))
        else:
            yield Finding("local model", State.OK, str(settings.local_model))
