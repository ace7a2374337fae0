"""A process that writes runs into a file and says what has been acknowledged, until somebody kills it.

Each line on stdout is a run's id, its newest number and how many messages it has completed.
"""

import asyncio
import sys
from pathlib import Path

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.domain.events import MessageCompleted
from letta_grpc.ports.journal import Claim
from letta_grpc.testing.journals.scenes import deltas, running
from letta_grpc.testing.stores.world import World, held
from tests.support.sqlite_worlds import opened

_RUNS = 6


async def write(world: World, claim: Claim) -> None:
    """Append for ever: small pieces, large ones, messages, several appends at once."""
    last, messages, turn = claim.last_sequence_number, 0, 0
    while True:
        turn += 1
        world.journal.append(held(claim), deltas(turn % 4, "x" * (turn * 37 % 3_000)))
        message = MessageCompleted(world.new_answer(claim, f"{turn}"))
        await world.journal.append(held(claim), [*deltas(1), message])
        last, messages = last + turn % 4 + 2, messages + 1
        print(claim.run.id, last, messages, flush=True)  # noqa: T201 - read by the test


async def main(path: Path) -> None:
    """Open the file, start runs and write."""
    async with opened(path, SystemClock()) as file, asyncio.TaskGroup() as tasks:
        for _ in range(_RUNS):
            tasks.create_task(write(file.world, await running(file.world)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
