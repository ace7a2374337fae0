"""Completed steps of all runs."""

from sqlalchemy import select

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.runs import step_of
from letta_grpc.adapters.sql.schema import runs, steps
from letta_grpc.domain.errors import StepNotFound
from letta_grpc.domain.ids import AgentId, StepId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.runs import Step


class SqlStepStore:
    """Steps, read only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, step_id: StepId) -> Step:
        """Return a step."""
        query = select(steps).where(steps.c.id == step_id)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise StepNotFound(step_id=step_id)
        return step_of(row)

    async def list(self, page: PageRequest, agent_id: AgentId | None = None) -> Page[Step]:
        """Return the steps of an agent's runs, or of all."""
        query = select(steps)
        if agent_id is not None:
            query = query.where(steps.c.run_id.in_(select(runs.c.id).where(runs.c.agent_id == agent_id)))
        rows = await self._database.read(lambda connection: connection.execute(paged(query, steps.c.position, page)).all())
        return page_of(rows, page, step_of)
