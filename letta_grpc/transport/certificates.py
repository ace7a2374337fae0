"""A server's certificate and its key, read from files and found to fit before anything listens or shakes hands with them."""

import ssl
from dataclasses import dataclass
from pathlib import Path


class CertificateError(Exception):
    """The files make no certificate; the message says which of them is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The server's certificate chain and its key: in PEM, as gRPC takes them, and as a context, as everybody else does."""

    certificate: bytes
    key: bytes
    context: ssl.SSLContext


def read_tls(certificate: Path, key: Path) -> Tls:
    """Return what two PEM files hold. Raises CertificateError.

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
        raise CertificateError(_complaint(error, certificate, key)) from error
    except OSError as error:
        # The last of them opens the files once more, and does not say which it could not.
        place = error.filename or f"{certificate} or {key}"
        raise CertificateError(f"cannot read the TLS files: {error.strerror}: {place}") from error
    return tls


def _check_certificates(chain: bytes, certificate: Path) -> None:
    """Raise CertificateError unless every certificate in the chain is whole."""
    # Into a context of its own: what is loaded so is trusted.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=chain.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(f"{certificate} holds no certificate in PEM") from error


def _complaint(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    match error.reason:
        # The last is what a key of another kind leads to.
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return f"the key in {key} does not belong to the certificate in {certificate}"
        case None:
            return f"{key} holds no private key in PEM, or one with a passphrase"
        case reason:
            return f"cannot use the certificate in {certificate} with the key in {key}: {reason.lower().replace('_', ' ')}"
