"""API keys."""

import hmac
import logging
from collections.abc import Callable, Iterable, Mapping

from letta_grpc.domain.errors import CredentialsInvalid, CredentialsMissing

logger = logging.getLogger(__name__)

AUTHORIZATION = "authorization"
# Whom a gateway or a proxy calls for; it says so itself.
FORWARDED_FOR = "x-forwarded-for"


class ApiKeys:
    """Lets those in who send one of the keys; everybody if there are no keys."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def check(self, metadata: Mapping[str, str], peer: Callable[[], str]) -> None:
        """Raise CredentialsMissing or CredentialsInvalid for a call that may not be made; `peer` tells who makes it."""
        if not self._keys:
            return
        scheme, _, sent = metadata.get(AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not sent.strip():
            raise CredentialsMissing
        # Every key is compared, each in constant time: how long this takes says nothing about the keys.
        matches = [hmac.compare_digest(sent.strip().encode(), key) for key in self._keys]
        if not any(matches):
            # Many of these are somebody who guesses.
            told = {"peer": peer(), "forwarded_for": metadata.get(FORWARDED_FOR, "")}
            logger.warning("a call with a wrong API key was refused", extra=told)
            raise CredentialsInvalid
