"""Why a database cannot be served: told to whoever starts the server, never to a caller."""

import re
from typing import ClassVar


class DatabaseUnusableError(Exception):
    """The database cannot be opened: the message says what is wrong with it."""

    reason: ClassVar[str] = "DATABASE_UNUSABLE"


class DatabaseInUseError(DatabaseUnusableError):
    """Another server has the database open."""

    reason = "DATABASE_IN_USE"


def without_password(url: str) -> str:
    """Return what may be told of a URL, also of one that cannot be read."""
    return re.sub(r"(\bpassword=)[^&]*", r"\1***", re.sub(r":(?!//).*@", ":***@", url))
