"""A RunService on a real socket that says on streams of several runs exactly what a test wrote down."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from letta_grpc.v1 import errors_pb2, events_pb2, run_service_pb2, runs_pb2
from tests.support.scripted_server import Context, Refusal, ScriptedRuns, log_of

# Takes the client's next request of a Converse call.
TAKE = "take"


@dataclass(frozen=True)
class Say:
    """One response: of which lane, and what it brings; with nothing it says that the request is accepted."""

    lane: int
    events: Sequence[events_pb2.RunEvent] = ()
    refusal: errors_pb2.Refusal | None = None

    @property
    def run_id(self) -> str:
        return run_id_of(self.lane)


@dataclass(frozen=True)
class Scene:
    """What one call does: its steps, then its end."""

    # An event is waited for.
    steps: Sequence[Say | asyncio.Event | str] = ()
    end: Refusal | None = None
    # The run ids that come ahead of a StreamRuns call.
    ahead: str = ""
    # Says nothing more, instead of ending.
    silent: bool = False


def run_id_of(lane: int) -> str:
    """Return the id of a lane's run."""
    return f"run-{lane}"


def lane_log(lane: int, *words: str) -> list[events_pb2.RunEvent]:
    """Return the whole log of a lane's run."""
    log = log_of(words or ("a", "b"))
    log[0].run_started.run.id = log[-1].run_finished.run.id = run_id_of(lane)
    return log


Asked = run_service_pb2.StreamRunsRequest | run_service_pb2.ConverseRequest


class ScriptedLanes(ScriptedRuns):
    """Plays one scene per call, in order."""

    def __init__(self, *scenes: Scene, run: runs_pb2.Run | None = None) -> None:
        super().__init__(run=run)
        self.scenes = list(scenes)
        # What the calls asked, each in a list of its own.
        self.asked: list[list[Asked]] = []

    async def StreamRuns(  # noqa: N802 - the service's name
        self, request: run_service_pb2.StreamRunsRequest, context: Context
    ) -> AsyncIterator[run_service_pb2.StreamRunsResponse]:
        self.asked.append([request])
        scene = self.scenes.pop(0)
        if scene.ahead:
            await context.send_initial_metadata((("letta-run-id", scene.ahead),))
        for step in scene.steps:
            assert isinstance(step, Say)
            yield run_service_pb2.StreamRunsResponse(
                run_id="" if step.refusal else step.run_id,
                start_index=step.lane,
                events=step.events,
                refusal=step.refusal,
            )
        await self._end(scene, context)

    async def Converse(  # noqa: N802 - the service's name
        self, request_iterator: AsyncIterator[run_service_pb2.ConverseRequest], context: Context
    ) -> AsyncIterator[run_service_pb2.ConverseResponse]:
        asked: list[Asked] = []
        self.asked.append(asked)
        scene = self.scenes.pop(0)
        for step in scene.steps:
            if isinstance(step, Say):
                yield run_service_pb2.ConverseResponse(
                    run_id=step.run_id, tag=str(step.lane), events=step.events, refusal=step.refusal
                )
            elif isinstance(step, asyncio.Event):
                await step.wait()
            else:
                asked.append(await anext(request_iterator))
        await self._end(scene, context)

    async def _end(self, scene: Scene, context: Context) -> None:
        if scene.silent:
            await asyncio.Event().wait()
        if scene.end is not None:
            await context.abort_with_status(scene.end.status())
