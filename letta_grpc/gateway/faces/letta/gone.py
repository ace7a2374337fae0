"""Routes that the reference server had and this one has not: 501, with what to use instead.

Rule: what is known to be gone is answered ahead of all routes with variables, so that none takes its place; whatever is left
under `/v1` is answered behind all faces.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route

from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.letta.errors import NO_RETRY, not_here, told

_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Gone:
    """Routes that are not here, each with all below it, and what to use instead. `behind`: among others that are here."""

    paths: Sequence[str]
    instead: str
    behind: bool = False


GONE: Sequence[Gone] = (
    Gone(
        (
            "/v1/folders",
            "/v1/sources",
            "/v1/agents/{agent_id}/files",
            "/v1/agents/{agent_id}/folders",
            "/v1/agents/{agent_id}/sources",
        ),
        "Files are not kept here. Keep texts in blocks or in /v1/agents/{agent_id}/archival-memory, or give the agent a tool "
        "or an MCP server that reads files.",
    ),
    Gone(
        ("/v1/archives", "/v1/agents/{agent_id}/archives"),
        "Each agent has one archive of its own: /v1/agents/{agent_id}/archival-memory.",
    ),
    Gone(
        ("/v1/mcp-servers", "/v1/agents/{agent_id}/mcp-servers", "/v1/tools/mcp"),
        "MCP servers are registered by the native API: /api/v1/mcp-servers, or `letta-grpc mcp`. Their tools are then "
        "attached by /v1/agents/{agent_id}/tools/attach/{tool_id}.",
    ),
    Gone(("/v1/identities", "/v1/agents/{agent_id}/identities"), "Use `tags` and `metadata` of agents."),
    Gone(
        ("/v1/groups", "/v1/agents/{agent_id}/groups"),
        "Agents work together by the tools send_message_to_agent_and_wait, send_message_to_agent and "
        "send_message_to_agents_matching_tags, and in the background by `enable_sleeptime`.",
    ),
    Gone(("/v1/templates",), "Keep an agent as a file: /v1/agents/{agent_id}/export and /v1/agents/import."),
    Gone(("/v1/client-side-access-tokens",), "Keys are set by LETTA_GRPC_API_KEYS, and sent as `authorization: Bearer`."),
    Gone(
        ("/v1/git", "/v1/repositories", "/v1/agents/{agent_id}/repositories"),
        "No memory is kept in git here, but in blocks: /v1/agents/{agent_id}/core-memory/blocks. Start Letta Code with "
        "--no-memfs.",
    ),
    Gone(
        ("/v1/agents/{agent_id}/secrets",),
        "What a secret is, only the agent's tools are told. GET /v1/agents/{agent_id} has the names; `secrets` of PATCH "
        "/v1/agents/{agent_id} sets all of them, and keeps the value of one that comes empty.",
    ),
    Gone(
        ("/v1/conversations/ephemeral",),
        "Every conversation is an agent's: POST /v1/conversations/?agent_id=agent-…. Start Letta Code without --ephemeral.",
    ),
    Gone(
        ("/v1/environments", "/v1/agents/{agent_id}/schedule"),
        "Nothing is scheduled here: let your own scheduler call /v1/agents/{agent_id}/messages/async.",
    ),
    Gone(
        ("/v1/messages/batches",),
        "Start a run for each: /v1/agents/{agent_id}/messages/async, or /api/v1/runs:stream for several agents at once.",
    ),
    Gone(
        ("/v1/messages/{message_id}",),
        "Messages are read where they stand: GET /v1/agents/{agent_id}/messages, /v1/conversations/{conversation_id}/messages "
        "and /v1/runs/{run_id}/messages, each with `after`.",
        behind=True,
    ),
    Gone(("/v1/jobs",), "Everything that is at work is a run: /v1/runs/."),
    Gone(
        ("/v1/steps/{step_id}/trace", "/v1/steps/{step_id}/feedback", "/v1/runs/{run_id}/trace", "/v1/telemetry"),
        "Traces and metrics go out by OpenTelemetry: see the settings OTEL_EXPORTER_OTLP_ENDPOINT and its siblings.",
    ),
    Gone(
        ("/v1/agents/{agent_id}/context", "/v1/agents/{agent_id}/messages/preview-raw-payload"),
        "What the model would be shown, and what each part costs, says /api/v1/agents/{agent_id}/context.",
    ),
    Gone(
        ("/v1/agents/{agent_id}/generate",),
        "Ask the provider itself, or an agent: /v1/chat/completions and /v1/agents/{agent_id}/messages.",
    ),
    Gone(("/v1/agents/{agent_id}/migrate", "/v1/agents/{agent_id}/version-template"), "There are no templates here."),
    Gone(("/v1/voice-beta",), "Use /v1/chat/completions with the agent's id as `model`."),
    Gone(("/v1/zai",), "Configure the provider: LETTA_GRPC_PROVIDERS__ZAI__BASE_URL, and choose the model `zai/…`."),
    Gone(("/v1/sandbox-config",), "Tools run in the server's own sandbox; `letta-grpc doctor` says how it stands."),
    Gone(("/v1/metadata",), "Nothing is paid for here. What a run has used says /v1/runs/{run_id}/usage."),
    Gone(
        ("/v1/organizations", "/v1/orgs", "/v1/users", "/v1/admin", "/v1/projects"),
        "A server has one tenant. Run one for each, with its own LETTA_GRPC_DATABASE.",
    ),
)
_UNKNOWN = (
    "This server has no such route. letta_grpc/gateway/README.md has a table of those that are here; the native API is "
    "under /api, described at /docs."
)


def gone_routes(*, behind: bool = False) -> Sequence[BaseRoute]:
    """Return the routes of what is gone, ahead of all others or behind them."""
    return [
        Route(path, _telling(each.instead), methods=_VERBS)
        for each in GONE
        if each.behind is behind
        for gone in each.paths
        for path in (gone, f"{gone}/{{rest:path}}")
    ]


def _telling(instead: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return told(not_here(instead))

    return answer


def letta_gone(_context: FaceContext) -> Sequence[BaseRoute]:
    """Return the routes that answer whatever is left."""
    return [*gone_routes(behind=True), Route("/v1/{rest:path}", _left, methods=_VERBS)]


async def _left(request: Request) -> Response:
    if not (verbs := _verbs_of(request)):
        return told(not_here(_UNKNOWN))
    headers = {**NO_RETRY, "allow": ", ".join(verbs)}
    return JSONResponse({"detail": f"{request.method} is not allowed here, but {headers['allow']}."}, 405, headers)


def _verbs_of(request: Request) -> Sequence[str]:
    """Return the verbs that other routes of this path take."""
    routes = [route for route in request.scope["router"].routes if isinstance(route, Route)]
    found = [route.methods or () for route in routes if route.matches(request.scope)[0] is Match.PARTIAL]
    return sorted({verb for verbs in found for verb in verbs} - {"HEAD"})
