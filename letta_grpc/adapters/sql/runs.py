"""Reading runs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from letta_grpc.adapters.sql.callbacks import with_callbacks
from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.queries import RUN, of_open_runs, stays
from letta_grpc.adapters.sql.rows import Row, from_json, run_of
from letta_grpc.adapters.sql.schema import TURNS, runs, steps
from letta_grpc.adapters.sql.times import from_micros, to_micros
from letta_grpc.domain.errors import ResourceInUse, RunNotFound
from letta_grpc.domain.ids import AgentId, RunId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.runs import OPEN_STATES, TURN_KINDS, Run, Step
from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.ports.stores import RunFilter


class SqlRunStore:
    """Runs, read only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: RunId) -> Run:
        """Return a run."""
        return await self._numbered(await self._database.read(lambda connection: _called_back(connection, run_id)))

    async def find_started(self, request_id: str) -> RunId | None:
        """Return the run that a request id has started."""
        query = select(runs.c.id).where(runs.c.request_id == request_id)
        found = await self._database.read(lambda connection: connection.scalar(query))
        return None if found is None else RunId(found)

    async def list(self, page: PageRequest, where: RunFilter) -> Page[Run]:
        """Return runs."""
        query = paged(_query(where), runs.c.position, page)

        def found(connection: Connection) -> Page[Run]:
            listed = page_of(connection.execute(query).all(), page, run_of)
            return Page(with_callbacks(connection, listed.items), listed.next)

        runs_found = await self._database.read(found)
        return Page(tuple([await self._numbered(run) for run in runs_found.items]), runs_found.next)

    async def last_turns(self, agent_id: AgentId, limit: int) -> tuple[int, tuple[Run, ...]]:
        """Return how many turns of an agent have completed, and the last of them."""
        return await self._database.read(lambda connection: _last_turns(connection, agent_id, limit))

    async def list_steps(self, run_id: RunId, page: PageRequest) -> Page[Step]:
        """Return a run's completed steps."""
        return await self._database.read(lambda connection: _list_steps(connection, run_id, page))

    async def _numbered(self, run: Run) -> Run:
        """Return a run with its last number, which only its log knows while it is open."""
        if run.last_sequence_number is not None:
            return run
        number = self._database.last_sequence_number(run.id)
        if number is None:
            # It ended after it was read: its row has the number by now.
            return await self._database.read(lambda connection: _called_back(connection, run.id))
        return replace(run, last_sequence_number=number)


def check_idle(connection: Connection, where: ColumnElement[bool]) -> None:
    """Raise ResourceInUse if one of the runs that `where` means is open."""
    active = connection.execute(of_open_runs(select(runs)).where(where).order_by(runs.c.position)).first()
    if active is not None:
        raise ResourceInUse("A run is at work in it.", conversation_id=active.conversation_id, active_run_id=active.id)


def _get(connection: Connection, run_id: RunId) -> Run:
    row = connection.execute(RUN, {"the_run": run_id}).first()
    if row is None:
        raise RunNotFound(run_id=run_id)
    return run_of(row)


def _called_back(connection: Connection, run_id: RunId) -> Run:
    (run,) = with_callbacks(connection, [_get(connection, run_id)])
    return run


def _query(where: RunFilter) -> Select[Any]:
    query = select(runs).where(*_conditions(where))
    return of_open_runs(query) if where.states and OPEN_STATES.issuperset(where.states) else query


def _conditions(where: RunFilter) -> Iterator[ColumnElement[bool]]:
    yield stays(runs.c.conversation_id, runs.c.agent_id)
    if where.agent_id is not None:
        yield runs.c.agent_id == where.agent_id
    if where.conversation_id is not None:
        yield runs.c.conversation_id == where.conversation_id
    if where.states:
        yield runs.c.state.in_([state.value for state in where.states])
    if where.parent_run_id is not None:
        yield runs.c.parent_run_ids.contains(f'"{where.parent_run_id}"', autoescape=True)
    if where.stop_reasons:
        yield runs.c.stop_reason.in_([reason.value for reason in where.stop_reasons])
    if where.background is not None:
        yield runs.c.background == where.background
    if where.has_pending_actions is not None:
        yield runs.c.pending_actions.is_not(None) if where.has_pending_actions else runs.c.pending_actions.is_(None)
    if where.create_time_from is not None:
        yield runs.c.create_time >= to_micros(where.create_time_from)
    if where.create_time_before is not None:
        yield runs.c.create_time < to_micros(where.create_time_before)


def _last_turns(connection: Connection, agent_id: AgentId, limit: int) -> tuple[int, tuple[Run, ...]]:
    count = connection.scalar(_of_turns(select(func.count()).select_from(runs), agent_id)) or 0
    newest = _of_turns(select(runs), agent_id).order_by(runs.c.end_time.desc(), runs.c.position.desc()).limit(limit)
    return count, tuple(run_of(row) for row in connection.execute(newest))


def _of_turns(query: Select[Any], agent_id: AgentId) -> Select[Any]:
    is_turn = runs.c.kind.in_([kind.value for kind in TURN_KINDS])
    # SQLite would guess, and read all runs that the agent has ever had.
    return query.where(runs.c.agent_id == agent_id, TURNS, is_turn).with_hint(runs, "INDEXED BY ix_runs_turns", "sqlite")


def _list_steps(connection: Connection, run_id: RunId, page: PageRequest) -> Page[Step]:
    _get(connection, run_id)
    query = paged(select(steps).where(steps.c.run_id == run_id), steps.c.step_index, page)
    return page_of(connection.execute(query).all(), page, step_of, at=_INDEX_AT)


_INDEX_AT = list(steps.c).index(steps.c.step_index)


def step_of(row: Row) -> Step:
    """Return the step of a row of `steps`."""
    _, id_, run_id, index, model, usage, timing, message_ids, completed = row
    return Step(
        id=id_,
        run_id=run_id,
        index=index,
        model=model,
        usage=Usage(**from_json(usage)),
        timing=Timing(**from_json(timing)),
        message_ids=tuple(from_json(message_ids)),
        complete_time=from_micros(completed),
    )
