"""The tools of one run: what the model is shown of them, and what a call of one waits for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from letta_grpc.domain.agents import Agent, AgentKind
from letta_grpc.domain.approvals import ActionKind
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.memgpt import SEND_MESSAGE, SEND_MESSAGE_TOOL
from letta_grpc.domain.runs import RunSpec
from letta_grpc.domain.tool_policy import ToolPolicy
from letta_grpc.domain.tool_rules import RequiresApproval
from letta_grpc.ports.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """Tools by name, and the agent's rules about them, its policy. A client's tool shadows the server's of the same name.

    `secrets` and `timezone` are the agent's.
    """

    definitions: Mapping[str, ToolDefinition]
    client_tools: frozenset[str]
    needing_approval: frozenset[str]
    secrets: Mapping[str, str] = field(repr=False)
    policy: ToolPolicy
    kind: AgentKind
    timezone: str

    def speaks(self, name: str) -> bool:
        """Say whether a call of this tool is how the agent speaks to the user."""
        return self.kind is AgentKind.MEMGPT and name == SEND_MESSAGE and name not in self.client_tools

    def waits_for(self, name: str) -> ActionKind | None:
        """Return what a call of this tool waits for, None if the server runs it at once."""
        if name in self.client_tools:
            return ActionKind.CLIENT_TOOL
        return ActionKind.APPROVAL if name in self.needing_approval else None


def check_choice(agent: Agent, spec: RunSpec) -> None:
    """Raise InvalidRequest for a `tool_choice` of tools that the run will not have."""
    known = {*agent.tools, *(tool.name for tool in spec.client_tools)}
    if agent.kind is AgentKind.MEMGPT:
        known.add(SEND_MESSAGE)
    unknown = {
        f"run.tool_choice[{index}]": f"{name!r} is neither a tool of the agent nor one of client_tools"
        for index, name in enumerate(spec.tool_choice)
        if name not in known
    }
    if unknown:
        raise InvalidRequest(fields=unknown)


async def toolbox_of(agent: Agent, spec: RunSpec, tools: Tools) -> Toolbox:
    """Return the tools that a run of this agent has; a name that this server does not know is left out."""
    definitions = dict(await tools.load(agent.tools))
    if agent.kind is AgentKind.MEMGPT:
        definitions[SEND_MESSAGE] = SEND_MESSAGE_TOOL
    ruled = {rule.tool for rule in agent.tool_rules if isinstance(rule, RequiresApproval)}
    asked = agent.tool_approvals
    approval = frozenset(
        [name for name, tool in definitions.items() if asked.get(name, tool.requires_approval or name in ruled)]
    )
    definitions |= {tool.name: tool for tool in spec.client_tools}
    return Toolbox(
        definitions=definitions,
        client_tools=frozenset(tool.name for tool in spec.client_tools),
        needing_approval=approval,
        secrets=agent.secrets,
        policy=ToolPolicy(agent.tool_rules, tuple(definitions)),
        kind=agent.kind,
        timezone=agent.timezone,
    )
