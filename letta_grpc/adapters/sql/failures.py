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
    """Return what may be told of a URL: where the database is and whose, and nothing else that could be secret."""
    if re.match(r"sqlite(\+\w+)?:///", url, re.IGNORECASE):
        return url
    parts = _URL.fullmatch(url)
    if parts is None:
        return re.sub(r"(://|[:@=\s]).*", r"\1***", url, count=1, flags=re.DOTALL)
    user = f"{parts['user']}{':***' if parts['secret'] else ''}@" if parts["user"] is not None else ""
    options = "&".join(option for option in (parts["options"] or "").split("&") if option.partition("=")[0] in _TOLD)
    return f"{parts['scheme']}{user}{parts['place']}{'?' if options else ''}{options}"


def is_clear(url: str) -> bool:
    """Return whether a URL can be read in one way alone.

    Of another one a part of the password may be taken for a host or a database, and be told with what is wrong with that.
    """
    return _URL.fullmatch(url) is not None


# What has a meaning in it elsewhere is percent-encoded.
_HOST = r"(?:\[[^][/?@]*\]|[^][:/?@,]*)(?::[0-9]*)?"
_URL = re.compile(
    rf"""(?P<scheme>[\w+]*://)
    (?:(?P<user>[^:/?@]*)(?P<secret>:[^/@]*)?@)?
    (?P<place>{_HOST}(?:,{_HOST})*(?:/[^?@]*)?)
    (?:\?(?P<options>[^@]*))?""",
    re.VERBOSE,
)
_TOLD = frozenset({"dbname", "host", "hostaddr", "port", "service", "sslmode", "target_session_attrs", "user"})
