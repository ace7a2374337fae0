"""Runs what README.md shows against a real server, in plain text and by TLS: `readme.py PROGRAM`.

PROGRAM is examples/chat.rs as it was built; README.md has to show the same.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
KEY = "readme-key"
SECONDS = 60.0
EXPECTED = [
    "Hello! I am glad you are here. Tell me your name, and I will keep it in my memory.",
    "Completed",
    "The tool says: The note was kept.",
]


def clean() -> dict[str, str]:
    """Return the environment without what would reach into this."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LETTA_GRPC_", "OTEL_"))}


@contextmanager
def serving(*flags: str) -> Iterator[str]:
    """Serve agents to whoever has the key; give the port."""
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'letta.db'}"
        own = ["--listen", "127.0.0.1:0", "--database", database, "--drain-seconds", "0"]
        command = [sys.executable, "-m", "letta_grpc", "serve", *own, *flags]
        environment = clean() | {"LETTA_GRPC_API_KEYS": KEY}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:  # noqa: S603 - our own
            try:
                assert server.stdout is not None
                yield server.stdout.readline().strip().rpartition(":")[2]
            finally:
                server.kill()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost, which is its own authority, and its key; return where."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    text = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(*text))
    return files


def differences(program: str, target: str, **more: str) -> list[str]:
    """Run the program; say what is wrong with what it prints."""
    environment = clean() | {"LETTA_GRPC_TARGET": target, "LETTA_GRPC_TARGET_API_KEY": KEY} | more
    done = subprocess.run([program], capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)  # noqa: S603 - our own
    if done.returncode == 0 and done.stdout.splitlines() == EXPECTED:
        return []
    return [f"with {target} the example of the README printed {done.stdout!r}, not {EXPECTED}\n{done.stderr}"]


def main() -> int:
    """Run it both ways."""
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder, serving() as port:
        found = differences(program, f"127.0.0.1:{port}")
        chain, key = certificate(Path(folder))
        with serving("--tls-certificate-file", str(chain), "--tls-key-file", str(key)) as secured:
            # The system's roots, for once, are our certificate alone.
            found += differences(program, f"https://localhost:{secured}", SSL_CERT_FILE=str(chain))
    shown = (HERE / "examples/chat.rs").read_text(encoding="utf-8")
    if f"```rust,no_run\n{shown}```" not in (HERE / "README.md").read_text(encoding="utf-8"):
        found.append("README.md does not show examples/chat.rs")
    print("\n".join(found) if found else "the example of the README does what it says, by TLS too")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
