"""The journal, the leases and the log in memory keep what they promise."""

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
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
from tests.support.memory_worlds import world_of


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def codec() -> ProtoEventCodec:
    return ProtoEventCodec()


@pytest.fixture
def database(clock: FakeClock, codec: ProtoEventCodec) -> MemoryDatabase:
    return MemoryDatabase(clock, codec)


@pytest.fixture
def world(database: MemoryDatabase) -> World:
    return world_of(database)


@pytest.fixture
def leases(database: MemoryDatabase) -> Leases:
    return database.leases


class TestMemoryClaim(ClaimContract):
    pass


class TestMemoryAppend(AppendContract):
    pass


class TestMemoryAnswers(AnswerContract):
    pass


class TestMemoryDenials(DenialContract):
    pass


class TestMemoryCancel(CancelContract):
    pass


class TestMemoryLeases(LeasesContract):
    pass


class TestMemoryEventLog(EventLogContract):
    pass


class TestMemoryFork(ForkContract):
    pass
