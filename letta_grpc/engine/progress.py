"""Where a run stands when a task begins with it: at its start, or where another attempt, or another server, left it."""

from letta_grpc.domain.events import RunStarted, StepStarted
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.progress import Progress
from letta_grpc.engine.record import nanoseconds
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Claim, Lease
from letta_grpc.ports.log import EventLog

_PAGE_BYTES = 1024 * 1024


async def progress_of(claim: Claim, lease: Lease, log: EventLog, codec: EventCodec) -> Progress:
    """Return how far a run has come. For a run that only this server has worked on the log need not be read."""
    progress = Progress(due=claim.batch.calls() if claim.batch else (), idle_attempts=claim.idle_attempts)
    if lease.attempt == 1:
        _start(progress, claim)
    else:
        await _replay(progress, claim.run.id, log, codec)
    return progress


def _start(progress: Progress, claim: Claim) -> None:
    time_ns = nanoseconds(claim.run.start_time or claim.run.create_time)
    progress.apply(RunStarted(claim.run), time_ns)
    if claim.first_step_id:
        progress.apply(StepStarted(claim.first_step_id, 0, claim.run.model), time_ns)


async def _replay(progress: Progress, run_id: RunId, log: EventLog, codec: EventCodec) -> None:
    after = 0
    while (page := await log.read(run_id, after, _PAGE_BYTES)).frames:
        for frame in split_frames(page.frames):
            numbered = codec.decode(frame)
            progress.apply(numbered.event, numbered.create_time_ns)
        after = page.last
