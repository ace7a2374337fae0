"""Writers, readers, and the one who kills the server."""

import asyncio
from collections.abc import Callable

from letta_grpc.v1 import messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.board import Board
from tests.promises.calling import RefusedError, ask, read
from tests.promises.plans import Job, Visit, Way
from tests.support.histories import Cancel, Start, Stream
from tests.support.servers import MortalServer

FAR_AHEAD = 1_000_000


class Writer:
    """Starts runs one after the other, follows each to its end over every cut, and cancels some."""

    def __init__(self, name: str, server: MortalServer, board: Board, agents: list[str]) -> None:
        self._name = f"writer {name}"
        self._server = server
        self._board = board
        self._agents = agents

    async def work(self, jobs: tuple[Job, ...]) -> None:
        for job in jobs:
            started: asyncio.Queue[str] = asyncio.Queue()
            async with asyncio.TaskGroup() as group:
                accompanying = group.create_task(self._accompany(job, started))
                async with asyncio.TaskGroup() as starts:
                    for way in job.ways:
                        starts.create_task(self._start(job, way, started.put_nowait))
                started.put_nowait("")
                await accompanying

    async def _accompany(self, job: Job, started: asyncio.Queue[str]) -> None:
        """Follow the run to its end, and perhaps cancel it, as soon as one of the starts has told which it is."""
        if run_id := await started.get():
            self._board.announce(run_id)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(run_id))
                if job.cancel_after is not None:
                    group.create_task(self._cancel(run_id, job.cancel_after))

    async def _start(self, job: Job, way: Way, on_run: Callable[[str], None]) -> None:
        request = pb.StreamRunRequest(
            agent_id=self._agents[job.agent],
            request_id=job.request_id,
            run=spec_of(job),
        )
        run_id = refusal = blamed = ""
        try:
            run_id = await self._started(request, way, on_run)
        except RefusedError as error:
            refusal, blamed = error.reason, error.metadata.get("active_run_id", "")
        start = Start(request_id=job.request_id, payload=job.text, run_id=run_id, refusal=refusal, blamed_run_id=blamed)
        self._board.history.starts.append(start)

    async def _started(self, request: pb.StreamRunRequest, way: Way, on_run: Callable[[str], None]) -> str:
        """Start, again after each cut; return the run. Raises RefusedError."""
        body = request.SerializeToString()
        match way:
            # The starts differ in nothing but their names and options.
            case "create":
                create, created = pb.CreateRunRequest.FromString(body), pb.CreateRunResponse.FromString
                return (await ask(self._server, "RunService/CreateRun", create, created, on_run)).run.id
            case "execute":
                execute, executed = pb.ExecuteRunRequest.FromString(body), pb.ExecuteRunResponse.FromString
                return (await ask(self._server, "RunService/ExecuteRun", execute, executed, on_run)).run.id
            case "stream":
                return await self._streamed(request, on_run)

    async def _streamed(self, request: pb.StreamRunRequest, on_run: Callable[[str], None]) -> str:
        while True:
            stream = Stream(reader=self._name)

            async def tell(stream: Stream) -> bool:
                if stream.run_id and not stream.responses:
                    on_run(stream.run_id)
                return True

            if refused := await read(self._server, self._board, stream, request, tell):
                raise refused
            if stream.run_id:
                return stream.run_id

    async def _follow(self, run_id: str) -> None:
        after = 0
        while run_id not in self._board.finished:
            stream = Stream(reader=self._name, run_id=run_id, after=after)
            request = pb.AttachRunRequest(run_id=run_id, after_sequence_number=after)
            await read(self._server, self._board, stream, request, _always)
            after = stream.last

    async def _cancel(self, run_id: str, after: int) -> None:
        board = self._board
        await board.until(lambda: board.shown[run_id] >= after or run_id in board.finished)
        request = pb.CancelRunRequest(run_id=run_id)
        answer = await ask(self._server, "RunService/CancelRun", request, pb.CancelRunResponse.FromString)
        board.history.cancels.append(Cancel(run=answer.run))


def spec_of(job: Job) -> runs_pb2.RunSpec:
    message = messages_pb2.InputMessage(user=messages_pb2.UserInput(text=job.text))
    return runs_pb2.RunSpec(messages=[message], conflict_policy=job.policy)


async def _always(_stream: Stream) -> bool:
    return True


class Reader:
    """Visits runs: attaches somewhere, reads at its pace, and leaves at the end or before."""

    def __init__(self, name: str, server: MortalServer, board: Board) -> None:
        self._name = f"reader {name}"
        self._server = server
        self._board = board

    async def work(self, visits: tuple[Visit, ...]) -> None:
        board = self._board
        for visit in visits:
            await board.until(lambda: bool(board.runs) or board.is_over)
            await self._visit(visit)

    async def _visit(self, visit: Visit) -> None:
        board = self._board
        run_id = board.runs[int(visit.run * len(board.runs))]
        after = FAR_AHEAD if visit.is_ahead else round(visit.position * board.shown[run_id])
        request = pb.AttachRunRequest(run_id=run_id, after_sequence_number=after, options=visit.options)

        async def stay(stream: Stream) -> bool:
            pace = board.seen + visit.pause
            await board.until(lambda: board.seen >= pace or board.is_over)
            return visit.stay is None or len(stream.responses) < visit.stay

        await read(self._server, board, Stream(reader=self._name, run_id=run_id, after=after), request, stay)


class Killer:
    """Strikes the server as soon as so many events have been seen by anyone, and revives it."""

    def __init__(self, server: MortalServer, board: Board, strikes: tuple[int, ...]) -> None:
        self._server = server
        self._board = board
        self._strikes = list(strikes)
        self._is_struck = False
        board.on_news = self._look

    def _look(self) -> None:
        if self._strikes and not self._is_struck and self._board.seen >= self._strikes[0]:
            self._strikes.pop(0)
            self._is_struck = True
            self._server.strike()

    async def work(self) -> None:
        board = self._board
        while self._is_struck or not board.is_over:
            await board.until(lambda: self._is_struck or board.is_over)
            if self._is_struck:
                await self._server.revive()
                self._is_struck = False
        board.on_news = lambda: None
