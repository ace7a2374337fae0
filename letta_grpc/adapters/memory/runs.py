"""Reading runs in memory."""

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.ids import AgentId, RunId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.runs import TURN_KINDS, Run, RunState, Step
from letta_grpc.ports.stores import RunFilter


class MemoryRunStore:
    """Runs, read only."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def get(self, run_id: RunId) -> Run:
        """Return a run."""
        return self._state.run(run_id).as_read()

    async def find_started(self, request_id: str) -> RunId | None:
        """Return the run that a request id has started."""
        return self._state.run_of_request.get(request_id)

    async def list(self, page: PageRequest, where: RunFilter) -> Page[Run]:
        """Return runs."""
        found = self._state.runs.page(page, lambda stored: _matches(stored.run, where))
        return Page(tuple(stored.as_read() for stored in found.items), found.next)

    async def last_turns(self, agent_id: AgentId, limit: int) -> tuple[int, tuple[Run, ...]]:
        """Return how many turns of an agent have completed, and the last of them."""
        turns = [stored.as_read() for stored in self._state.runs if _is_completed_turn(stored.run, agent_id)]
        turns.sort(key=lambda run: run.end_time or run.create_time)
        return len(turns), tuple(turns[::-1][:limit])

    async def list_steps(self, run_id: RunId, page: PageRequest) -> Page[Step]:
        """Return a run's completed steps."""
        return self._state.run(run_id).steps.page(page)


def _is_completed_turn(run: Run, agent_id: AgentId) -> bool:
    is_turn = run.kind in TURN_KINDS and not run.background
    return run.agent_id == agent_id and is_turn and run.state is RunState.COMPLETED


def _matches(run: Run, where: RunFilter) -> bool:
    return (
        where.agent_id in (None, run.agent_id)
        and where.conversation_id in (None, run.conversation_id)
        and (not where.states or run.state in where.states)
        and (not where.stop_reasons or run.stop_reason in where.stop_reasons)
        and where.background in (None, run.background)
        and where.has_pending_actions in (None, bool(run.pending_actions))
        and (where.create_time_from is None or run.create_time >= where.create_time_from)
        and (where.create_time_before is None or run.create_time < where.create_time_before)
        and where.parent_run_id in (None, *run.parent_run_ids)
    )
