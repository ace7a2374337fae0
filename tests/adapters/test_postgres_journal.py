"""The journal on PostgreSQL keeps what journals, leases and logs promise."""

from collections.abc import AsyncIterator

import pytest

from letta_grpc.ports.journal import Leases
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals import (
    AnswerContract,
    AppendContract,
    CancelContract,
    ClaimContract,
    DenialContract,
    EventLogContract,
    ForkContract,
    LeasesContract,
)
from letta_grpc.testing.stores import World
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.postgres_worlds import opened
from tests.support.sql_worlds import Opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def codec() -> ProtoEventCodec:
    return ProtoEventCodec()


@pytest.fixture
async def open_database(emptied_postgres_url: str, clock: FakeClock) -> AsyncIterator[Opened]:
    async with opened(emptied_postgres_url, clock) as open_database:
        yield open_database


@pytest.fixture
def world(open_database: Opened) -> World:
    return open_database.world


@pytest.fixture
def leases(open_database: Opened) -> Leases:
    return open_database.database.leases


class TestPostgresClaim(ClaimContract):
    pass


class TestPostgresAppend(AppendContract):
    pass


class TestPostgresAnswers(AnswerContract):
    pass


class TestPostgresDenials(DenialContract):
    pass


class TestPostgresCancel(CancelContract):
    pass


class TestPostgresLeases(LeasesContract):
    pass


class TestPostgresEventLog(EventLogContract):
    pass


class TestPostgresFork(ForkContract):
    pass
