"""Why a server cannot start."""

from letta_grpc.adapters.sql.failures import DatabaseUnusableError


class StartupError(Exception):
    """The server cannot start; the message tells an operator what to do."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


def unusable(error: DatabaseUnusableError) -> StartupError:
    """Return why a server cannot start on this database."""
    return StartupError(f"{error} ({error.reason})")
