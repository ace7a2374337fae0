"""`client.runs`: the calls of RunService that are no streams, as methods."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Unpack

from letta_grpc.client._async.connection import Connection
from letta_grpc.client.requests import Inputs, RunArguments, start_of
from letta_grpc.client.values import timestamp
from letta_grpc.v1 import events_pb2, messages_pb2, run_service_pb2, runs_pb2


class Runs:
    """`client.runs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = connection.runs

    async def execute(
        self, agent_id: str, messages: Inputs, **run: Unpack[RunArguments]
    ) -> run_service_pb2.ExecuteRunResponse:
        """Start a run and wait for its end; return `.run`, whatever its state, and the `.messages` it added.

        Waits as long as the run takes, across broken connections. Of more messages than 2 MiB the newest are returned.
        """
        request = start_of(run_service_pb2.ExecuteRunRequest, agent_id, messages, run)
        return await self._connection.ask(self._stub.ExecuteRun, request, unlimited=True)

    async def create(self, agent_id: str, messages: Inputs, **run: Unpack[RunArguments]) -> runs_pb2.Run:
        """Start a run that goes on by itself; return it as it was accepted."""
        request = start_of(run_service_pb2.CreateRunRequest, agent_id, messages, run)
        return (await self._connection.ask(self._stub.CreateRun, request)).run

    async def get(self, run_id: str) -> runs_pb2.Run:
        """Return a run as it stands."""
        return (await self._connection.ask(self._stub.GetRun, run_service_pb2.GetRunRequest(run_id=run_id))).run

    async def cancel(self, run_id: str) -> runs_pb2.Run:
        """Ask a run to end, durably; return it as it is, perhaps still running."""
        return (await self._connection.ask(self._stub.CancelRun, run_service_pb2.CancelRunRequest(run_id=run_id))).run

    def list(
        self,
        *,
        agent_id: str | None = None,
        conversation_id: str | None = None,
        states: "Sequence[runs_pb2.RunState.ValueType]" = (),
        stop_reasons: "Sequence[runs_pb2.StopReason.ValueType]" = (),
        background: bool | None = None,
        has_pending_actions: bool | None = None,
        parent_run_id: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        after_id: str | None = None,
        page_size: int | None = None,
        descending: bool = False,
    ) -> AsyncGenerator[runs_pb2.Run, None]:
        """Iterate over runs, oldest first unless `descending`, over all pages; each argument narrows the list.

        Times without a zone are local. `after_id`: only what comes behind that run in this order.
        """
        request = run_service_pb2.ListRunsRequest(
            agent_id=agent_id or "",
            conversation_id=conversation_id or "",
            states=states,
            stop_reasons=stop_reasons,
            background=background,
            has_pending_actions=has_pending_actions,
            parent_run_id=parent_run_id or "",
            create_time_from=timestamp(created_from),
            create_time_before=timestamp(created_before),
            after_id=after_id or "",
            page_size=page_size or 0,
            descending=descending,
        )
        return self._connection.pages(self._stub.ListRuns, request, lambda page: page.runs)

    def list_events(
        self, run_id: str, *, after: int = 0, page_size: int | None = None
    ) -> AsyncGenerator[events_pb2.RunEvent, None]:
        """Iterate over a run's stored events after a number, without waiting for more."""
        request = run_service_pb2.ListRunEventsRequest(run_id=run_id, after_sequence_number=after, page_size=page_size or 0)
        return self._connection.pages(self._stub.ListRunEvents, request, lambda page: page.events)

    def list_steps(
        self,
        run_id: str = "",
        *,
        agent_id: str = "",
        after_id: str | None = None,
        page_size: int | None = None,
        descending: bool = False,
    ) -> AsyncGenerator[runs_pb2.Step, None]:
        """Iterate over the completed steps of a run, of an agent's runs, or of all; only those behind `after_id`."""
        request = run_service_pb2.ListStepsRequest(
            run_id=run_id, agent_id=agent_id, after_id=after_id or "", page_size=page_size or 0, descending=descending
        )
        return self._connection.pages(self._stub.ListSteps, request, lambda page: page.steps)

    async def get_step(self, step_id: str) -> runs_pb2.Step:
        """Return a completed step."""
        request = run_service_pb2.GetStepRequest(step_id=step_id)
        return (await self._connection.ask(self._stub.GetStep, request)).step

    def list_messages(
        self, run_id: str, *, page_size: int | None = None, descending: bool = False
    ) -> AsyncGenerator[messages_pb2.Message, None]:
        """Iterate over what a run brought into its conversation, its input included."""
        request = run_service_pb2.ListRunMessagesRequest(run_id=run_id, page_size=page_size or 0, descending=descending)
        return self._connection.pages(self._stub.ListRunMessages, request, lambda page: page.messages)
