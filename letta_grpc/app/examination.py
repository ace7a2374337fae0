"""What a server would stand on here, without starting one."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from letta_grpc.adapters.llama import LlamaProvider, LlamaUnavailableError
from letta_grpc.adapters.openai.endpoint import public_url
from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.migrate import current_revision
from letta_grpc.app.parts import mcp_policy_of, sandbox_of
from letta_grpc.ports.sandbox import Sandbox
from letta_grpc.settings import Provider, Settings


class State(Enum):
    """How something stands on this machine."""

    OK = "ok"
    # It works less than it could, and that may be meant.
    LIMITED = "limited"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a server needs, as it is on this machine."""

    subject: str
    state: State
    detail: str


def examine(settings: Settings) -> tuple[Finding, ...]:
    """Look at all that a server with these settings stands on, without starting one, changing anything or calling anybody."""
    policy = mcp_policy_of(settings)
    mcp = f"child processes {_permission(policy.allow_stdio)}, private addresses {_permission(policy.allow_private_addresses)}"
    return (
        _database_finding(settings),
        sandbox_finding(settings, sandbox_of(settings)),
        *(_provider_finding(name, provider) for name, provider in settings.providers.items()),
        *_local_findings(settings),
        Finding("mcp", State.OK, mcp),
    )


def _permission(is_allowed: bool) -> str:  # noqa: FBT001 - a word for it
    return "allowed" if is_allowed else "not allowed"


def _database_finding(settings: Settings) -> Finding:
    try:
        revision = current_revision(settings.database)
    except DatabaseUnusableError as error:
        return Finding("database", State.FAILED, str(error))
    is_there = f"{settings.database} has schema {revision}" if revision else f"{settings.database} is made at the first start"
    return Finding("database", State.OK, is_there)


def sandbox_finding(settings: Settings, sandbox: Sandbox) -> Finding:
    """Return how tools of Python source run here. Tries it out, which blocks for a moment."""
    why = sandbox.unavailable()
    if why is None:
        return Finding("sandbox", State.OK, "tools of Python source run contained")
    match settings.tool_sandbox:
        case "off":
            return Finding("sandbox", State.LIMITED, "tools of Python source are refused, as the settings say")
        case "uncontained":
            return Finding("sandbox", State.LIMITED, f"tools of Python source run with the server's own rights: {why}")
        case "require":
            return Finding("sandbox", State.FAILED, f"tools of Python source are refused: {why}")


def _provider_finding(name: str, provider: Provider) -> Finding:
    with_key = "with a key" if provider.api_key and provider.api_key.get_secret_value() else "without a key"
    state = State.OK if with_key == "with a key" else State.LIMITED
    return Finding(f"provider {name}", state, f"{public_url(provider.base_url)}, {with_key}")


def _local_findings(settings: Settings) -> Iterator[Finding]:
    if settings.local_model:
        try:
            LlamaProvider.check(settings.local_model)
        except LlamaUnavailableError as error:
            yield Finding("local model", State.FAILED, str(error))
        else:
            yield Finding("local model", State.OK, str(settings.local_model))
