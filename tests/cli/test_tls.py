"""Commands that speak TLS with a server."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.server_process import gateway_process, letta_grpc, serving_process

TLS = Path(__file__).parents[1] / "support" / "tls"
CERTIFICATE = TLS / "certificate.pem"
ANOTHER = Path(__file__).parents[1] / "transport" / "tls" / "certificate.pem"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    flags = ["--tls-certificate-file", str(CERTIFICATE), "--tls-key-file", str(TLS / "key.pem")]
    with serving_process(tmp_path_factory.mktemp("tls"), *flags) as (address, _):
        yield address


def test_an_authority_of_ones_own_is_trusted(secured: str) -> None:
    made = letta_grpc("agents", "create", "--model", "scripted/echo", "--target", secured, "--tls-ca", str(CERTIFICATE))
    assert made.returncode == 0, made.stderr
    talk = ("chat", "--agent", made.stdout.strip(), "--target", secured, "--tls-ca", str(CERTIFICATE))
    assert "Hello" in letta_grpc(*talk, stdin="Hello\n").stdout


def test_a_gateway_trusts_an_authority_of_ones_own(secured: str, tmp_path: Path) -> None:
    with gateway_process(tmp_path, secured, "--tls-ca", str(CERTIFICATE)) as (url, _), httpx2.Client() as client:
        assert client.get(f"{url}/v1/agents").status_code == 200


@pytest.mark.parametrize("flags", [("--tls",), ("--tls-ca", str(ANOTHER))])
@pytest.mark.parametrize("command", [("agents", "list"), ("chat",)])
def test_a_certificate_that_is_not_trusted_is_called_so(
    secured: str, command: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    refused = letta_grpc(*command, "--target", secured, *flags)
    assert refused.returncode == 3
    assert refused.stderr.endswith(
        f"The certificate of {secured} is not trusted: --tls-ca names the authority that signed it.\n"
    )


def test_a_certificate_of_another_name_is_called_so(tmp_path: Path) -> None:
    elsewhere = ("--listen", "127.0.0.2:0", "--tls-certificate-file", str(CERTIFICATE), "--tls-key-file", str(TLS / "key.pem"))
    with serving_process(tmp_path, *elsewhere) as (address, _):
        refused = letta_grpc("agents", "list", "--target", address, "--tls-ca", str(CERTIFICATE))
    assert refused.returncode == 3
    assert refused.stderr.endswith(f"The certificate is of another name than {address}.\n")


def test_a_server_without_tls_is_asked_about_it(address: str) -> None:
    refused = letta_grpc("agents", "list", "--target", address, "--tls")
    assert refused.returncode == 3
    assert refused.stderr.endswith(f"Does the server at {address} speak TLS? If not, leave --tls out.\n")


def test_who_calls_the_address_of_http_is_told_that_there_is_another(tmp_path: Path) -> None:
    with serving_process(tmp_path, "--http", "127.0.0.1:0") as (line, _):
        _, _, address = line.partition(" http=http://")
        refused = letta_grpc("agents", "list", "--target", address)
    assert refused.returncode == 3
    assert f"What answers at {address} speaks HTTP/1.1" in refused.stderr


def test_who_speaks_plain_text_to_a_server_of_tls_is_told_the_flag(secured: str) -> None:
    refused = letta_grpc("agents", "list", "--target", secured)
    assert refused.returncode == 3
    assert refused.stderr.endswith(f"Is a server running at {secured}? If it speaks TLS, say --tls, or --tls-ca.\n")


def test_an_authority_that_is_none_is_refused(address: str, tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    refused = letta_grpc("agents", "list", "--target", address, "--tls-ca", str(tmp_path / "junk.pem"), COLUMNS="400")
    assert refused.returncode == 2
    assert "holds no certificate in PEM" in refused.stderr
