"""API keys."""

import hmac
import logging
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from letta_grpc.domain.errors import CredentialsInvalid, CredentialsMissing
from letta_grpc.transport.renewal import Renewable, UnusableFileError

logger = logging.getLogger(__name__)

AUTHORIZATION = "authorization"
# The header in which a gateway or a proxy says for whom it calls.
FORWARDED_FOR = "x-forwarded-for"


class ApiKeys:
    """Lets those in who send one of the keys; everybody if there are neither keys nor a file of them."""

    def __init__(self, keys: Iterable[str] = (), file: Path | None = None) -> None:
        """Read the file, as it is read again whenever it changes. Raises UnusableFileError."""
        self._keys = tuple(key.encode() for key in keys)
        self._filed = Renewable("list of API keys", [file], lambda: _read(file)) if file else None

    def check(self, metadata: Mapping[str, str], peer: Callable[[], str]) -> None:
        """Raise CredentialsMissing or CredentialsInvalid for a call that may not be made; `peer` tells who makes it."""
        if not (self._keys or self._filed):
            return
        scheme, _, sent = metadata.get(AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not sent.strip():
            raise CredentialsMissing
        # Every key is compared, each in constant time: how long this takes says nothing about the keys.
        keys = self._keys + self._filed.now() if self._filed else self._keys
        matches = [hmac.compare_digest(sent.strip().encode(), key) for key in keys]
        if not any(matches):
            # Many of these are somebody who guesses.
            told = {"peer": peer(), "forwarded_for": metadata.get(FORWARDED_FOR, "")}
            logger.warning("a call with a wrong API key was refused", extra=told)
            raise CredentialsInvalid


def _read(file: Path) -> tuple[bytes, ...]:
    """Return the keys in a file. Raises UnusableFileError, which quotes none of them."""
    try:
        lines = file.read_bytes().removeprefix(BOM_UTF8).splitlines()
    except OSError as error:
        raise UnusableFileError(f"cannot read the API keys: {error.strerror}: {file}") from error
    keys = {number: key for number, line in enumerate(lines, start=1) if (key := line.strip()) and not key.startswith(b"#")}
    for number, key in keys.items():
        if not (key.isascii() and key.decode().isprintable()):
            raise UnusableFileError(f"line {number} of {file} holds more than printable ASCII: no caller can send it")
        if b" " in key or b"," in key:
            raise UnusableFileError(f"line {number} of {file} holds more than a key: one a line, no blanks, no commas")
    # Without one, everybody would be let in, or, where there are others, nobody who had one of these.
    if not keys:
        raise UnusableFileError(f"{file} holds no API key")
    return tuple(keys.values())
