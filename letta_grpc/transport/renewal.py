"""The certificate in service, which its operator renews under a running server.

One object for all listeners of a process. Each asks it at each handshake: so nothing runs while nobody connects, what is open
keeps the certificate that it began with, and the next to connect is shown the new one.
"""

import logging
import math
import ssl
from pathlib import Path
from threading import Lock
from time import monotonic

import grpc

from letta_grpc.transport.certificates import CertificateError, Tls, read_tls

logger = logging.getLogger(__name__)

# A pair that is refused is read again when its files change. Unless what was wrong shows in no file, as being out of
# descriptors does: so it is read again after this time, too, and not at each handshake, since that takes 2 ms.
_PATIENCE_SECONDS = 1.0


class RenewableTls:
    """A pair of certificate and key that is read again when its files change; any thread may ask for it.

    Rule: what is in service is a pair that fits. Chain and key are replaced one after the other; in between, and whenever the
    files cannot be read or make no pair, the last good one stays, and that is logged once.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files. Raises CertificateError."""
        self._certificate, self._key = certificate, key
        self._looking = Lock()
        # Before they are read: a change in between is one that the next look finds.
        self._seen = self._stamp()
        self._tls = read_tls(certificate, key)
        self._again = math.inf
        self._complaint: str | None = None

    def now(self) -> Tls:
        """Return the pair to shake hands with, the same object until it is renewed. Never raises, and waits for nobody.

        It blocks for two calls of stat, 10 µs, and once for each renewal for the reading, 2 ms: less than the handshake takes.
        """
        # Who comes while another looks takes what is there: the event loop would wait for a thread that reads.
        if self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._tls

    def context_now(self) -> ssl.SSLContext:
        """Return the pair as the context for a handshake of `ssl`."""
        return self.now().context

    def _look(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen and monotonic() < self._again:
            return
        try:
            found: Tls | CertificateError = read_tls(self._certificate, self._key)
        except CertificateError as error:
            found = error
        # Replaced while they were read: it may be the old chain with the new key. The next look reads them again.
        if self._stamp() != stamp:
            return
        self._seen = stamp
        if isinstance(found, Tls):
            self._take(found)
        else:
            self._refuse(str(found))

    def _refuse(self, complaint: str) -> None:
        if complaint != self._complaint:
            logger.warning("the certificate in service stays: %s", complaint)
        self._complaint, self._again = complaint, monotonic() + _PATIENCE_SECONDS

    def _take(self, tls: Tls) -> None:
        self._complaint, self._again = None, math.inf
        # Files that were touched, or put back, hold nothing new.
        if (tls.certificate, tls.key) == (self._tls.certificate, self._tls.key):
            return
        self._tls = tls
        logger.info("a renewed certificate is in service", extra={"file": str(self._certificate)})

    def _stamp(self) -> object:
        """Return what changes when a file does, or what a link to it leads to; None while there is none."""
        try:
            states = [file.stat() for file in (self._certificate, self._key)]
        except OSError:
            return None
        # The last of them also tells that a file may be read now.
        return [(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for state in states]


def server_credentials(tls: RenewableTls) -> grpc.ServerCredentials:
    """Return credentials for one port of a server, which asks at each handshake whether there is a new pair."""
    served = tls.now()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        # Called in a thread of grpc's core, one handshake of the port at a time. None: go on with what you have.
        nonlocal served
        if (now := tls.now()) is served:
            return None
        served = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(_configuration(served), renewed)  # type: ignore[arg-type]  # the stub knows no None


def _configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)])
