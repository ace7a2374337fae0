"""One connection to a database: what the threads that write and read do with it, whichever database it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import ClassVar, LiteralString, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from letta_grpc.adapters.sql.session import Session


class Driver(Protocol):
    """A driver's connection. It begins and ends no transaction by itself."""

    def execute(self, statement: LiteralString, /) -> object:
        """Run a statement."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class DatabaseConnection(ABC):
    """A connection, used by one thread at a time. Outside of a transaction each statement is one by itself.

    `session` is it for the statements of `queries.py`, `core` is it for query functions.
    """

    # The statements that begin a transaction which writes, and one whose statements all see the same commit.
    BEGIN: ClassVar[LiteralString]
    BEGIN_SNAPSHOT: ClassVar[LiteralString]
    # What the driver raises, by itself and through SQLAlchemy.
    errors: tuple[type[Exception], ...]
    # How often, in seconds, one that nobody uses is to be asked whether it `is_lost`; None if that cannot be.
    look_seconds: ClassVar[float | None] = None

    def __init__(self, driver: Driver, driver_error: type[Exception], session: Session, core: Connection) -> None:
        self._driver = driver
        self.errors = (driver_error, DBAPIError)
        self.session = session
        self.core = core

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether a transaction is open that can still be committed."""

    @property
    @abstractmethod
    def changed_rows(self) -> int:
        """How many rows the session has changed so far, undone or not."""

    @property
    def is_lost(self) -> bool:
        """Whether it has come to its end, and with it the lock that it held. Costs next to nothing to ask."""
        return False

    @abstractmethod
    def rollback(self) -> None:
        """Undo the transaction, if one is open. Raises nothing where the connection is lost."""

    @abstractmethod
    def one_statement(self) -> AbstractContextManager[None]:
        """Let the transaction go on where the one statement within raises."""

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self._driver.execute(self.BEGIN)

    def commit(self) -> None:
        """Make it durable."""
        self._driver.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done within, and no more, if it raises."""
        driver = self._driver
        driver.execute("SAVEPOINT job")
        try:
            yield
        except BaseException:
            # Of some errors there is no going on; then this raises too, and the group fails.
            driver.execute("ROLLBACK TO job")
            driver.execute("RELEASE job")
            raise
        driver.execute("RELEASE job")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all statements within see the same commit."""
        self._driver.execute(self.BEGIN_SNAPSHOT)
        try:
            yield
        finally:
            self.rollback()

    def close(self) -> None:
        """End it."""
        with suppress(*self.errors):
            self.core.close()
        self._driver.close()
