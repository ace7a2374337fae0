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
        """Have an agent told something, in its default conversation, after whatever it is busy with.

        `waits`: the tool waits for its end; then it may take no longer than the calling run has left, and is cancelled
        together with it. Raises InvalidRequest for an agent that the call comes from itself, or for a chain of calls that is
        too long, and what `Journal.claim` raises.
        """
        ...

    async def ended(self, run_id: RunId) -> tuple[Run, str]:
        """Return a run once it has ended, and the last words that the agent said in it.

        Raises InvalidRequest for one that cannot begin: its agent waits for the caller, or for somebody's answer to a call.
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
