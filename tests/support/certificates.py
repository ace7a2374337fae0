"""Certificates that a server is given and renewed, and which of them it shows."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.support.files import replace

_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate for localhost and 127.0.0.1, which trusts itself, and its key."""

    certificate: Path
    key: Path


_TESTS = Path(__file__).parents[1]
FIRST = Pair(_TESTS / "support" / "tls" / "certificate.pem", _TESTS / "support" / "tls" / "key.pem")
SECOND = Pair(_TESTS / "transport" / "tls" / "certificate.pem", _TESTS / "transport" / "tls" / "key.pem")
# What a client trusts that shall believe either.
ROOTS = FIRST.certificate.read_bytes() + SECOND.certificate.read_bytes()


class Installed:
    """The two files that a server reads: the first pair, until another is put in its place."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "chain.pem", folder / "key.pem"
        self.install(FIRST)

    def install(self, pair: Pair) -> None:
        self.install_certificate(pair.certificate.read_bytes())
        self.install_key(pair.key.read_bytes())

    def install_certificate(self, content: bytes) -> None:
        replace(self.certificate, content)

    def install_key(self, content: bytes) -> None:
        replace(self.key, content)


def shown(address: str, name: str = "localhost") -> Pair:
    """Return the pair that a new connection to `host:port` is made with. The name is sent, unless it is an IP address."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOTS.decode())
    # gRPC's own protocol, without which its servers shake no hands.
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        certificate = secured.getpeercert(binary_form=True)
    (pair,) = (one for one in (FIRST, SECOND) if ssl.PEM_cert_to_DER_cert(one.certificate.read_text()) == certificate)
    return pair
