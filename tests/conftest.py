import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.postgres import PostgresServer, running_postgres

# Each test is bounded by pytest's timeout. By the clock an example fails on a machine that has other things to do.
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")

# What `nohup` or a shell's `&` has ignored is ignored by everything that is started from here, too: tests that send these
# signals would find processes that heed none.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_tables(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def emptied_postgres_url(postgres: PostgresServer, _postgres_tables: str) -> Iterator[str]:
    """A database that each test finds and leaves without rows: many tests are quicker with it than with one each."""
    yield _postgres_tables
    postgres.empty(_postgres_tables)
