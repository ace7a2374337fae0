"""A SQLite file with all stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from letta_grpc.adapters.sql.sqlite.opening import open_sqlite
from letta_grpc.ports.clock import Clock
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.sql_worlds import Opened, world_of


@asynccontextmanager
async def opened(path: Path, clock: Clock, **options: Any) -> AsyncIterator[Opened]:  # noqa: ANN401 - as open_sqlite has them
    """Open a file."""
    async with open_sqlite(f"sqlite:///{path}", codec=ProtoEventCodec(), clock=clock, **options) as database:
        yield Opened(database, world_of(database))
