"""The skills of a client's machine, as the model is told of them: a tree of files behind the agent's instructions.

They stand in the run's own instructions and are kept nowhere else: the next request says anew what its client has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from letta_grpc.gateway.faces.letta.fields import objects, required_text, text
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.v1 import agent_service_pb2

_FILE = "SKILL.md"
# Where Letta Code looks for a skill whose place nobody says.
_ELSE = "${MEMORY_DIR}/skills"


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class _Skill:
    """A line of a tree. Without a folder of its own it stands behind those that have one."""

    root: str
    has_none: bool
    folder: str
    line: str


def skills_in(body: Mapping[str, Any]) -> str:
    """Return what the model is told of a client's skills; empty without any. Raises Failure."""
    # Of two with the same name the first is meant.
    named = {required_text(given, "name"): given for given in reversed(objects(body, "client_skills"))}
    skills = sorted(_skill(name, given) for name, given in named.items())
    trees = [_tree(root, list(found)) for root, found in groupby(skills, key=lambda skill: skill.root)]
    return "<available_skills>\n{}\n</available_skills>".format("\n\n".join(trees)) if trees else ""


async def instructions_with(ask: Ask, agent_id: str, skills: str) -> str:
    """Return an agent's instructions, and behind them what it is told of skills. Raises Failure."""
    request = agent_service_pb2.GetAgentRequest(agent_id=agent_id)
    agent = (await ask.call(ask.services.agents.GetAgent, request)).agent
    return f"{agent.system}\n\n{skills}"


def _skill(name: str, given: Mapping[str, Any]) -> _Skill:
    path = PurePosixPath((text(given, "location") or "").strip() or f"{_ELSE}/{name}/{_FILE}")
    description = (text(given, "description") or "").strip().partition("\n")[0].strip()
    line = f"{path.name} ({description})" if description else path.name
    folder = path.parent.name if path.name == _FILE and path.parent.name == name.rpartition("/")[2] else ""
    root = path.parent.parent if folder else path.parent
    return _Skill(root=str(root), has_none=not folder, folder=folder, line=line)


def _tree(root: str, skills: list[_Skill]) -> str:
    lines = [root]
    for skill in skills:
        branch, below = ("└── ", "    ") if skill is skills[-1] else ("├── ", "│   ")
        lines += [f"{branch}{skill.folder}/", f"{below}└── {skill.line}"] if skill.folder else [f"{branch}{skill.line}"]
    return "\n".join(lines)
