"""Which database a URL means, and what can be done with it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, Literal

from letta_grpc.adapters.sql.failures import DatabaseUnusableError, without_password
from letta_grpc.adapters.sql.open_database import OpenDatabase


@dataclass(frozen=True, slots=True)
class Backend:
    """One database. All of it raises DatabaseUnusableError, or DatabaseInUseError while a server has it."""

    # As `open_sqlite` and `open_postgres` have it, without the URL.
    open: Callable[..., AbstractAsyncContextManager[OpenDatabase]]
    migrate: Callable[[], None]
    current_revision: Callable[[], str | None]
    check_free: Callable[[], None]
    # What of its settings weakens a promise, in words.
    weaknesses: Callable[[], list[str]]


def backend_of(url: str, *, sync: Literal["normal", "full"] = "normal") -> Backend:
    """Return the database of a `sqlite:///…` or `postgresql://…` URL. Raises DatabaseUnusableError.

    `sync` is SQLite's; PostgreSQL has its own settings for it.
    """
    scheme, _, rest = url.partition("://")
    # A driver in it is another program's: `postgresql+asyncpg`.
    match scheme.lower().partition("+")[0]:
        case "sqlite":
            from letta_grpc.adapters.sql.sqlite import opening, upkeep  # noqa: PLC0415 - the one that is used is loaded

            return _backend(url, partial(opening.open_sqlite, sync=sync), upkeep)
        case "postgresql" | "postgres":
            return _postgres(f"postgresql://{rest}")
    raise DatabaseUnusableError(
        f"{without_password(url)!r} is not a database URL: it should look like sqlite:///letta.db or postgresql://user@host/letta."
    )


def _postgres(url: str) -> Backend:
    try:
        from letta_grpc.adapters.sql.postgres import opening, upkeep  # noqa: PLC0415 - as above
    except ImportError as error:
        raise DatabaseUnusableError(f"PostgreSQL needs a driver: install letta-grpc[scale] ({error}).") from error
    return _backend(url, opening.open_postgres, upkeep)


def _backend(url: str, opener: Callable[..., Any], upkeep: ModuleType) -> Backend:
    return Backend(
        open=partial(opener, url),
        migrate=partial(upkeep.migrate, url),
        current_revision=partial(upkeep.current_revision, url),
        check_free=partial(upkeep.check_free, url),
        weaknesses=partial(upkeep.weaknesses, url),
    )
