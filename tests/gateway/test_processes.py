"""The gateway as its users start it: in the server, or a process of its own in front of one."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.gateways import Event, error_of, event_of, events_of
from tests.support.server_process import gateway_process, letta_grpc, serving_process

WORDS = [f"word{number} " for number in range(40)]
SLOW = json.dumps([[action for word in WORDS for action in ({"delay_ms": 30}, {"text": word})]])
WAITING = json.dumps([[{"text": "one"}, {"wait_for_cancel": True}]])


@contextmanager
def client_of(url: str, key: str | None = None) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx2.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


@contextmanager
def serving(folder: Path, *flags: str, **more: str) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """A server with its gateway: gRPC address, URL, process."""
    with serving_process(folder, "--http", "127.0.0.1:0", *flags, **more) as (line, process):
        address, _, url = line.partition(" http=")
        yield address, url, process


def agent_of(client: httpx2.Client) -> str:
    made = client.post("/api/v1/agents", json={"agent": {"model": "scripted/script"}})
    assert made.status_code == 200, made.text
    agent_id: str = made.json()["agent"]["id"]
    return agent_id


def starting(client: httpx2.Client, agent_id: str, text: str) -> Any:  # noqa: ANN401 - httpx's context manager
    body = {"run": {"messages": [{"user": {"text": text}}]}}
    return client.stream("POST", f"/api/v1/agents/{agent_id}/runs:stream", json=body)


def blocks(answer: httpx2.Response) -> Iterator[str]:
    """The blocks of a stream as they come."""
    rest = ""
    for piece in answer.iter_text():
        *whole, rest = (rest + piece).split("\n\n")
        yield from whole


def read_some(answer: httpx2.Response, until: str) -> list[Event]:
    """The events up to the first of a kind."""
    seen = []
    for block in blocks(answer):
        if "data: " in block:
            seen.append(event_of(block))
            if seen[-1].event == until:
                return seen
    raise AssertionError(f"no {until}: {seen}")


def test_the_server_says_where_its_gateway_is_and_both_answer(tmp_path: Path) -> None:
    with serving(tmp_path) as (address, url, _), client_of(url) as client:
        assert address.startswith("127.0.0.1:")
        assert client.get("/").json() == {"status": "ok"}
        assert client.get("/api/v1/models").status_code == 200
        assert client.get("/nothing").status_code == 404


def test_killing_the_gateway_loses_nothing(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (address, _):
        with (
            gateway_process(tmp_path, address) as (url, first),
            client_of(url) as client,
            starting(client, agent_of(client), SLOW) as answer,
        ):
            run_id, seen = answer.headers["letta-run-id"], read_some(answer, "text_delta")
            first.send_signal(signal.SIGKILL)
            assert first.wait(30) == -signal.SIGKILL
        with gateway_process(tmp_path, address) as (url, _), client_of(url) as client:
            last = seen[-1].id
            assert last
            headers = {"accept": "text/event-stream", "last-event-id": last}
            path = f"/api/v1/runs/{run_id}/events:stream"
            seen += events_of(client.get(path, headers=headers).text)
            assert client.get(path, headers=headers | {"last-event-id": str(seen[-1].id)}).status_code == 204
    assert [event.id for event in seen] == [str(number) for number in range(1, len(seen) + 1)]
    assert "".join(event.data["textDelta"]["text"] for event in seen if event.event == "text_delta") == "".join(WORDS)
    assert seen[-1].event == "run_finished"


def test_a_server_that_stops_ends_its_streams_with_an_event_that_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url, process), client_of(url) as client:
        with starting(client, agent_of(client), WAITING) as answer:
            rest = []
            for block in blocks(answer):
                rest.append(block)
                if "event: text_delta" in block:
                    process.terminate()
        last = event_of(rest[-1])
        assert (last.id, last.event, last.data["error"]["code"]) == (None, "error", 503)
        assert last.data["error"]["details"][0]["reason"] == "SERVER_DRAINING"
        assert process.wait(30) == 0


def test_a_gateway_that_stops_ends_its_streams_with_an_event_that_says_so(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (address, _), gateway_process(tmp_path, address) as (url, process):
        with client_of(url) as client, starting(client, agent_of(client), WAITING) as answer:
            rest = []
            for block in blocks(answer):
                rest.append(block)
                if "event: text_delta" in block:
                    process.terminate()
            last = event_of(rest[-1])
            assert (last.id, last.event, last.data["error"]["code"]) == (None, "error", 503)
            assert process.wait(30) == 0
        assert "Traceback" not in (tmp_path / "gateway.log").read_text()


def test_a_server_that_is_away_is_503_and_is_found_again(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with gateway_process(tmp_path, address) as (url, _), client_of(url) as client:
        answer = client.get("/api/v1/models")
        assert (answer.status_code, error_of(answer)["status"]) == (503, "UNAVAILABLE")
        assert address not in answer.text
        with serving_process(tmp_path, "--listen", address):
            # grpc dials again within a second or so; each request before is refused at once.
            late = time.monotonic() + 20
            while client.get("/api/v1/models").status_code != 200:
                assert time.monotonic() < late


def test_a_stream_that_is_asked_for_while_the_server_restarts_begins_when_it_is_back(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    # A busy machine may take longer for a start than a gateway waits by default.
    patient = gateway_process(tmp_path, address, "--hold-seconds", "60")
    with patient as (url, _), client_of(url) as client, ThreadPoolExecutor(1) as pool:
        with serving_process(tmp_path, "--listen", address) as (_, server):
            # grpc may have dialled before the server was there.
            late = time.monotonic() + 20
            while client.get("/api/v1/models").status_code != 200:
                assert time.monotonic() < late
            with starting(client, agent_of(client), json.dumps([[{"text": "one"}]])) as answer:
                run_id, seen = answer.headers["letta-run-id"], events_of(answer.read().decode())
            server.send_signal(signal.SIGKILL)
            assert server.wait(30) == -signal.SIGKILL
        again = pool.submit(client.get, f"/api/v1/runs/{run_id}/events:stream", headers={"accept": "text/event-stream"})
        with serving_process(tmp_path, "--listen", address):
            answer = again.result(90)
        assert answer.status_code == 200, answer.text
        assert [event.id for event in events_of(answer.text)] == [event.id for event in seen]


def test_a_callers_key_goes_through_the_gateway_to_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, LETTA_GRPC_API_KEYS="right") as (address, url, _), gateway_process(tmp_path, address) as (own, _):
        for place in (url, own):
            with client_of(place) as nobody, client_of(place, "wrong") as wrong, client_of(place, "right") as right:
                refused = nobody.get("/api/v1/models")
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
                assert wrong.get("/api/v1/models").status_code == 401
                assert right.get("/api/v1/models").status_code == 200


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for command in (
            ["serve", "--listen", "127.0.0.1:0", "--database", f"sqlite:///{tmp_path / 'l.db'}", "--http", place],
            ["gateway", "--http", place],
        ):
            result = letta_grpc(*command)
            assert (result.returncode, result.stdout) == (5, "")
            assert result.stderr.splitlines()[-1].startswith(f"letta-grpc: cannot listen on {place}")


@pytest.mark.parametrize("place", ["localhost", "127.0.0.1:http", "127.0.0.1:65536"])
def test_an_address_that_is_none_is_said_in_one_line(place: str) -> None:
    result = letta_grpc("gateway", "--http", place)
    assert (result.returncode, result.stdout) == (5, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"letta-grpc: cannot listen on {place}: ")


def test_a_certificate_without_its_key_is_told_in_one_line(tmp_path: Path) -> None:
    certificate = Path(__file__).parents[1] / "support" / "tls" / "certificate.pem"
    key = Path(__file__).parents[1] / "transport" / "tls" / "key.pem"
    flags = ["--tls-certificate-file", str(certificate), "--tls-key-file", str(key)]
    for command in (
        ["serve", "--listen", "127.0.0.1:0", "--database", f"sqlite:///{tmp_path / 'l.db'}"],
        ["gateway", "--http", "127.0.0.1:0"],
    ):
        result = letta_grpc(*command, *flags)
        told = f"letta-grpc: the key in {key} does not belong to the certificate in {certificate}\n"
        assert (result.returncode, result.stdout, result.stderr) == (5, "", told)


def test_https_is_served_with_the_servers_certificate(tmp_path: Path) -> None:
    tls = Path(__file__).parents[1] / "support" / "tls"
    flags = ["--tls-certificate-file", str(tls / "certificate.pem"), "--tls-key-file", str(tls / "key.pem")]
    with serving(tmp_path, *flags) as (_, url, _process):
        assert url.startswith("https://")
        curl = ["curl", "-sS", "--noproxy", "*", "--cacert", str(tls / "certificate.pem"), f"{url}/"]
        answer = subprocess.run(curl, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603 - curl, to our own server
        assert json.loads(answer.stdout) == {"status": "ok"}
