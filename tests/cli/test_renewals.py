"""Certificates and keys that are renewed under a running server, as its operator sees it."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.certificates import FIRST, ROOTS, SECOND, Installed, shown
from tests.support.files import replace
from tests.support.server_process import gateway_process, letta_grpc, serving_process

pytestmark = pytest.mark.timeout(60)
WAITING = json.dumps([[{"text": "one"}, {"wait_for_cancel": True}]])


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def flags(installed: Installed) -> tuple[str, ...]:
    return ("--tls-certificate-file", str(installed.certificate), "--tls-key-file", str(installed.key))


@contextmanager
def client_of(url: str) -> Iterator[httpx2.Client]:
    trust = ssl.create_default_context(cadata=ROOTS.decode())
    with httpx2.Client(base_url=f"{url}/api/v1", verify=trust, trust_env=False, timeout=30) as client:
        yield client


def lines_about(log: Path, words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if words in line]


def test_both_listeners_take_a_renewed_certificate_and_cut_no_stream(tmp_path: Path, installed: Installed) -> None:
    with serving_process(tmp_path, "--http", "127.0.0.1:0", *flags(installed)) as (line, _):
        address, _, url = line.partition(" http=")
        with client_of(url) as client, grpc.secure_channel(address, grpc.ssl_channel_credentials(ROOTS)) as channel:
            agent = client.post("/agents", json={"agent": {"model": "scripted/script"}}).json()["agent"]["id"]
            body = {"run": {"messages": [{"user": {"text": WAITING}}]}}
            with client.stream("POST", f"/agents/{agent}/runs:stream", json=body) as answer:
                run_id, text = answer.headers["letta-run-id"], answer.iter_text()
                assert any("text_delta" in piece for piece in text)
                events = RunServiceStub(channel).AttachRun(pb.AttachRunRequest(run_id=run_id), timeout=30)
                assert next(events).events
                installed.install(SECOND)
                assert (shown(address), shown(url.removeprefix("https://"))) == (SECOND, SECOND)
                with client_of(url) as newcomer:
                    assert newcomer.post(f"/runs/{run_id}:cancel", json={}).status_code == 200
                assert "run_finished" in "".join(text)
                assert "run_finished" in "".join(str(one) for one in events)
    (told,) = lines_about(tmp_path / "server.log", str(installed.certificate))
    assert (told["level"], told["event"]) == ("info", "a renewed certificate is in service")


def test_a_gateway_by_itself_takes_a_renewed_certificate(tmp_path: Path, installed: Installed) -> None:
    with (
        serving_process(tmp_path) as (address, _),
        gateway_process(tmp_path, address, *flags(installed)) as (url, _),
        client_of(url) as client,
    ):
        assert client.get("/models").status_code == 200
        installed.install(SECOND)
        assert shown(url.removeprefix("https://")) == SECOND
        assert client.get("/models").status_code == 200


def test_a_certificate_without_its_key_is_told_of_once_and_the_one_in_service_stays(
    tmp_path: Path, installed: Installed
) -> None:
    with serving_process(tmp_path, "--http", "127.0.0.1:0", *flags(installed)) as (line, _):
        address, _, url = line.partition(" http=")
        listeners = (address, url.removeprefix("https://"))
        installed.install_certificate(SECOND.certificate.read_bytes())
        assert [shown(listener) for listener in listeners * 3] == [FIRST] * 6
        installed.install_key(SECOND.key.read_bytes())
        assert [shown(listener) for listener in listeners] == [SECOND] * 2
    warned, told = lines_about(tmp_path / "server.log", str(installed.certificate))
    assert (warned["level"], told["level"]) == ("warning", "info")
    wrong = f"the key in {installed.key} does not belong to the certificate in {installed.certificate}"
    assert warned["event"] == f"the certificate in service stays: {wrong}"


def test_api_keys_are_exchanged_under_a_running_server(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    with serving_process(tmp_path, "--http", "127.0.0.1:0", "--api-keys-file", str(file)) as (line, _):
        address, _, url = line.partition(" http=")

        def answers(key: str) -> tuple[int, int]:
            """The exit code of a command over gRPC, and the status over HTTP."""
            listed = letta_grpc("agents", "list", "--target", address, LETTA_GRPC_TARGET_API_KEY=key)
            return listed.returncode, client.get("/agents", headers={"authorization": f"Bearer {key}"}).status_code

        with httpx2.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=30) as client:
            assert (answers("old"), answers("new")) == ((0, 200), (6, 401))
            replace(file, b"new\n")
            assert (answers("old"), answers("new")) == ((6, 401), (0, 200))
    (told,) = lines_about(tmp_path / "server.log", str(file))
    assert (told["level"], told["event"]) == ("info", "a renewed list of API keys is in service")


def test_a_stream_goes_on_when_its_key_leaves_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    with serving_process(tmp_path, "--http", "127.0.0.1:0", "--api-keys-file", str(file)) as (line, _):
        address, _, url = line.partition(" http=")
        old, new = ({"authorization": f"Bearer {key}"} for key in ("old", "new"))
        with (
            httpx2.Client(base_url=f"{url}/api/v1", trust_env=False, timeout=30) as client,
            grpc.insecure_channel(address) as channel,
        ):
            agent = client.post("/agents", json={"agent": {"model": "scripted/script"}}, headers=old).json()["agent"]["id"]
            body = {"run": {"messages": [{"user": {"text": WAITING}}]}}
            with client.stream("POST", f"/agents/{agent}/runs:stream", json=body, headers=old) as answer:
                run_id, text = answer.headers["letta-run-id"], answer.iter_text()
                assert any("text_delta" in piece for piece in text)
                attach = RunServiceStub(channel).AttachRun
                events = attach(pb.AttachRunRequest(run_id=run_id), timeout=30, metadata=tuple(old.items()))
                assert next(events).events
                replace(file, b"new\n")
                cancel = f"/runs/{run_id}:cancel"
                assert [client.post(cancel, json={}, headers=key).status_code for key in (old, new)] == [401, 200]
                assert "run_finished" in "".join(text)
                assert "run_finished" in "".join(str(one) for one in events)


def test_a_server_does_not_start_without_the_keys_it_is_to_ask_for(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    refused = letta_grpc("serve", "--listen", "127.0.0.1:0", "--api-keys-file", str(file))
    assert refused.returncode != 0
    assert refused.stderr.strip().endswith(f"cannot read the API keys: No such file or directory: {file}")
