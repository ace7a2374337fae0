"""Why a server cannot start."""

from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError


class StartupError(Exception):
    """The server cannot start; the message tells an operator what to do."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class NoDatabase(StartupError):  # noqa: N818 - a state, as those of the domain's errors
    """The database cannot be served."""


class DatabaseTaken(NoDatabase):
    """Another server has the database."""


def unusable(error: DatabaseUnusableError) -> StartupError:
    """Return why a server cannot start on this database."""
    kind = DatabaseTaken if isinstance(error, DatabaseInUseError) else NoDatabase
    return kind(f"{error} ({error.reason})")
