"""A PostgreSQL database with all stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from letta_grpc.adapters.sql.postgres.opening import open_postgres
from letta_grpc.ports.clock import Clock
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.sql_worlds import Opened, world_of


@asynccontextmanager
async def opened(url: str, clock: Clock, **options: Any) -> AsyncIterator[Opened]:  # noqa: ANN401 - as open_postgres has them
    """Open a database."""
    async with open_postgres(url, codec=ProtoEventCodec(), clock=clock, **options) as database:
        yield Opened(database, world_of(database))
