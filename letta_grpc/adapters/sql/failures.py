"""Why a database cannot be served: told to whoever starts the server, never to a caller."""

from typing import ClassVar


class DatabaseUnusableError(Exception):
    """The database cannot be opened: the message says what is wrong with it."""

    reason: ClassVar[str] = "DATABASE_UNUSABLE"


class DatabaseInUseError(DatabaseUnusableError):
    """Another server has the database open."""

    reason = "DATABASE_IN_USE"
