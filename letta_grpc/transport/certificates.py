"""A server's certificate and its key: read from files, found to fit before anything is done with them, and renewed.

One object for all listeners of a process. Each asks it at each handshake: what is open keeps the certificate that it began
with, and the next to connect is shown the new one.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from letta_grpc.transport.renewal import Renewable, UnusableFileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The server's certificate chain and its key: in PEM, as gRPC takes them, and as a context, as everybody else does."""

    certificate: bytes
    key: bytes
    context: ssl.SSLContext = field(compare=False)


class RenewableTls(Renewable[Tls]):
    """A certificate with its key. Chain and key may be replaced one after the other: only a pair that fits is taken."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files. Raises UnusableFileError."""
        super().__init__("certificate", (certificate, key), lambda: read_tls(certificate, key))

    def context_now(self) -> ssl.SSLContext:
        """Return the pair as the context for a handshake of `ssl`."""
        return self.now().context


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


def read_tls(certificate: Path, key: Path) -> Tls:
    """Return what two PEM files hold. Raises UnusableFileError.

    grpc says of a wrong pair only that it cannot listen, and the gateway's server fails in the middle of its start.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        chain = certificate.read_bytes()
        tls = Tls(certificate=chain, key=key.read_bytes(), context=context)
        _check_certificates(chain, certificate)
        # With a passphrase of ours, which is none: else it would be asked for at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise UnusableFileError(_complaint(error, certificate, key)) from error
    except OSError as error:
        # The last of them opens the files once more, and does not say which it could not.
        place = error.filename or f"{certificate} or {key}"
        raise UnusableFileError(f"cannot read the TLS files: {error.strerror}: {place}") from error
    return tls


def _check_certificates(chain: bytes, certificate: Path) -> None:
    """Raise UnusableFileError unless every certificate in the chain is whole."""
    # Into a context of its own: what is loaded so is trusted.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=chain.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise UnusableFileError(f"{certificate} holds no certificate in PEM") from error


def _complaint(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    match error.reason:
        # The last is what a key of another kind leads to.
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return f"the key in {key} does not belong to the certificate in {certificate}"
        case None:
            return f"{key} holds no private key in PEM, or one with a passphrase"
        case reason:
            return f"cannot use the certificate in {certificate} with the key in {key}: {reason.lower().replace('_', ' ')}"
