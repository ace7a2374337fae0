"""Running queries. The same query functions serve every database: they are plain functions of a SQLAlchemy connection."""

from collections.abc import Callable
from typing import Optional, Protocol, TypeVar

from sqlalchemy import Connection

from letta_grpc.domain.ids import RunId

T = TypeVar("T")

# A part of a long change; it returns the next one, None if it was the last.
Step = Callable[[Connection], Optional["Step"]]

# How long a step goes on. Everyone's events wait for it.
STEP_SECONDS = 0.005


class Database(Protocol):
    """A database that is open.

    What a function raises reaches the caller as it is, except the driver's own errors: they become StoreUnavailable. A
    function that expects a broken constraint catches sqlalchemy.exc.IntegrityError itself.
    """

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` on one consistent state of the database; it sees every write that has returned."""
        ...

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in a transaction: durable when this returns, undone if it raises. It must never commit by itself."""
        ...

    async def write_in_steps(self, step: Step, *, otherwise: Step | None = None) -> None:
        """Run `step` and those that follow, each in a transaction of its own: what others write comes between them.

        They go on if the caller leaves, until the database is closed. What raises is the last one; those before it stay done.
        One that the store fails, save the first, is told to the caller and tried again later. Where there is `otherwise`, that
        and what follows it is taken instead of any step that fails.
        """
        ...

    def last_sequence_number(self, run_id: RunId) -> int | None:
        """Return the number of an open run's newest event; None for a run that is not open: its row has it."""
        ...
