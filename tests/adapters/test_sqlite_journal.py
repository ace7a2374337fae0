"""The journal on SQLite keeps what journals, leases and logs promise."""

from collections.abc import AsyncIterator
from pathlib import Path

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
from tests.support.sql_worlds import Opened
from tests.support.sqlite_worlds import opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def codec() -> ProtoEventCodec:
    return ProtoEventCodec()


@pytest.fixture
async def file(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Opened]:
    async with opened(tmp_path / "letta.db", clock) as file:
        yield file


@pytest.fixture
def world(file: Opened) -> World:
    return file.world


@pytest.fixture
def leases(file: Opened) -> Leases:
    return file.database.leases


class TestSqliteClaim(ClaimContract):
    pass


class TestSqliteAppend(AppendContract):
    pass


class TestSqliteAnswers(AnswerContract):
    pass


class TestSqliteDenials(DenialContract):
    pass


class TestSqliteCancel(CancelContract):
    pass


class TestSqlLeases(LeasesContract):
    pass


class TestSqlEventLog(EventLogContract):
    pass


class TestSqliteFork(ForkContract):
    pass
