"""One connection to a database: what the threads that write and read do with it, whichever database it is."""

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from letta_grpc.adapters.sql.session import Session


class DatabaseConnection(Protocol):
    """A connection, used by one thread at a time. Outside of a transaction each statement is one by itself."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises, by itself and through SQLAlchemy."""
        ...

    @property
    def session(self) -> Session:
        """It, for the statements of `queries.py`."""
        ...

    @property
    def core(self) -> Connection:
        """It, for query functions. It begins and ends no transaction by itself."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open that can still be committed."""
        ...

    @property
    def changed_rows(self) -> int:
        """How many rows the session has changed so far, undone or not."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether it has come to its end, and with it the lock that it held. Costs next to nothing to ask."""
        ...

    def begin(self) -> None:
        """Begin a transaction that writes."""
        ...

    def commit(self) -> None:
        """Make it durable."""
        ...

    def rollback(self) -> None:
        """Undo it, if one is open. Raises nothing where the connection is lost."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what is done within, and no more, if it raises."""
        ...

    def one_statement(self) -> AbstractContextManager[None]:
        """Let the transaction go on where the one statement within raises."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all statements within see the same commit."""
        ...

    def close(self) -> None:
        """End it."""
        ...
