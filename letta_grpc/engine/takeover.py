"""Going on with a run where another attempt, or another server, left it."""

from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.progress import Progress
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.log import EventLog

_PAGE_BYTES = 1024 * 1024


async def progress_of(run_id: RunId, due: tuple[ToolCall, ...], log: EventLog, codec: EventCodec) -> Progress:
    """Return how far a run has come, by its stored events. `due` are the waiting calls that it was started to settle."""
    progress = Progress(due=due)
    after = 0
    while True:
        page = await log.read(run_id, after, _PAGE_BYTES)
        if not page.frames:
            return progress
        for frame in split_frames(page.frames):
            numbered = codec.decode(frame)
            progress.apply(numbered.event, numbered.create_time_ns)
        after = page.last
