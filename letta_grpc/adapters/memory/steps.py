"""Completed steps of all runs, in memory."""

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.errors import StepNotFound
from letta_grpc.domain.ids import AgentId, StepId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.runs import Step


class MemoryStepStore:
    """Steps, read only."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def get(self, step_id: StepId) -> Step:
        """Return a step."""
        step = self._state.steps.find(step_id)
        if step is None or step.run_id not in self._state.runs:
            raise StepNotFound(step_id=step_id)
        return step

    async def list(self, page: PageRequest, agent_id: AgentId | None = None) -> Page[Step]:
        """Return the steps of an agent's runs, or of all."""
        return self._state.steps.page(page, lambda step: self._is_of(step, agent_id))

    def _is_of(self, step: Step, agent_id: AgentId | None) -> bool:
        stored = self._state.runs.find(step.run_id)
        return stored is not None and agent_id in (None, stored.run.agent_id)
