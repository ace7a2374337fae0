"""How a tool has other agents run. The engine gives it to the tools of a run; `tests/engine/test_children.py` shows it."""

from typing import Protocol

from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import AgentId, RunId
from letta_grpc.domain.runs import Run


class ChildRuns(Protocol):
    """Starts runs of other agents on behalf of one tool call, and waits for them.

    The same call with the same `key` starts the same run: a tool that is run again after a crash goes on with what it had.
    """

    async def start(self, agent_id: AgentId, text: str, *, key: str = "", waits: bool) -> Run:
        """Start a run in which an agent is told something, in its default conversation, after whatever it is busy with.

        `waits`: the tool waits for the end of that run, which then may take no longer than the calling run has left, and is
        cancelled together with it. Raises InvalidRequest if the agent is one that the call comes from, or the chain of calls
        is too long; and what `Journal.claim` raises.
        """
        ...

    async def ended(self, run_id: RunId) -> tuple[Run, str]:
        """Return a run once it has ended, and the last words that the agent said in it.

        Raises InvalidRequest for a run that cannot begin: its agent waits for the calling run, or for an answer to a tool
        call.
        """
        ...


class NoChildRuns:
    """Where no run is at work there is none that could have children."""

    async def start(self, agent_id: AgentId, text: str, *, key: str = "", waits: bool) -> Run:  # noqa: ARG002 - the port's shape
        """Refuse."""
        raise InvalidRequest("Agents can be called from a run alone.")

    async def ended(self, run_id: RunId) -> tuple[Run, str]:  # noqa: ARG002 - the port's shape
        """Refuse."""
        raise InvalidRequest("Agents can be called from a run alone.")
