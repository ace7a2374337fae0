"""Errors, reported to a Sentry on a socket of this machine."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from letta_grpc.app import serving_in_process
from letta_grpc.ports.tracing import NoTracing, Tracing
from letta_grpc.settings import Settings
from letta_grpc.telemetry import telemetry_from_env
from letta_grpc.telemetry.sentry import ReportingTracing, Sentry, sentry_from_env
from letta_grpc.testing.tracing import TracingContract
from letta_grpc.v1 import runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import run_of, talk
from tests.support.sentry_server import FakeSentry, fake_sentry
from tests.support.values import run
from tests.support.wires import Stubs


@pytest.fixture
def fake() -> Iterator[FakeSentry]:
    with fake_sentry() as fake:
        yield fake


@pytest.fixture
def sentry(fake: FakeSentry) -> Iterator[Sentry]:
    sentry = sentry_from_env({"SENTRY_DSN": fake.dsn})
    assert sentry
    yield sentry
    sentry.close()


class TestReportingTracing(TracingContract):
    has_context = False

    @pytest.fixture
    def tracing(self) -> Tracing:
        return ReportingTracing(NoTracing(), lambda _run, _reason: None)


@requirement("sentry_off")
@pytest.mark.parametrize("environ", [{}, {"SENTRY_DSN": ""}, {"SENTRY_DSN": "  "}])
def test_without_a_dsn_nothing_is_reported(environ: dict[str, str]) -> None:
    assert sentry_from_env(environ) is None
    assert telemetry_from_env(environ) is None


@requirement("sentry_off")
def test_without_a_dsn_the_sdk_is_not_loaded() -> None:
    program = "import letta_grpc.telemetry as t, sys; t.telemetry_from_env({}); print('sentry_sdk' in sys.modules)"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SENTRY_"))}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - our own
    assert ended.stdout == "False\n"


@requirement("sentry_off")
def test_without_the_extra_the_server_starts_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    assert sentry_from_env({"SENTRY_DSN": "http://public@127.0.0.1:9/1"}) is None
    assert "letta-grpc[sentry] is not installed" in caplog.text


@requirement("sentry_off")
def test_a_dsn_that_is_none_is_not_repeated_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert sentry_from_env({"SENTRY_DSN": "secret-but-wrong"}) is None
    assert "no address of Sentry's" in caplog.text
    assert "secret-but-wrong" not in caplog.text


@requirement("sentry_errors")
@pytest.mark.usefixtures("sentry")
def test_what_is_logged_as_an_error_is_reported_with_its_exception_but_no_variables(fake: FakeSentry) -> None:
    def fail(said: str) -> None:
        raise RuntimeError(f"broken by {len(said)}")

    try:
        fail("a person's words")
    except RuntimeError:
        logging.getLogger("letta_grpc.some").exception("run crashed", extra={"run_id": "run-1"})
    event = fake.next_event()
    (exception,) = event["exception"]["values"]
    assert (exception["type"], exception["value"]) == ("RuntimeError", "broken by 16")
    assert event["logentry"]["message"] == "run crashed"
    assert event["extra"]["run_id"] == "run-1"
    assert not any("vars" in frame for frame in exception["stacktrace"]["frames"])


@requirement("sentry_errors")
def test_a_failed_run_is_reported_by_its_reason_and_a_crash_only_once(fake: FakeSentry, sentry: Sentry) -> None:
    tracing = ReportingTracing(NoTracing(), sentry.run_failed)
    for reason in ("INTERNAL", "MODEL_RATE_LIMITED"):
        with tracing.run(run(), None) as span:
            span.fail(reason)
    event = fake.next_event()
    assert event["message"] == "run failed: MODEL_RATE_LIMITED"
    assert event["tags"]["reason"] == "MODEL_RATE_LIMITED"
    assert event["extra"]["run_id"] == run().id
    assert event["fingerprint"] == ["run failed", "MODEL_RATE_LIMITED"]
    sentry.close()
    assert len(fake.events) == 1


@requirement("sentry_errors")
async def test_a_server_reports_failed_runs_and_neither_refusals_nor_what_was_said(tmp_path: Path, fake: FakeSentry) -> None:
    settings = Settings(database=f"sqlite:///{tmp_path / 'letta.db'}")
    async with serving_in_process(settings, {"SENTRY_DSN": fake.dsn}) as house, house.channel() as channel:
        talking = await talk(Stubs(channel), "scripted/script")
        await talking.ask('[[{"text": "fine"}]]')
        with pytest.raises(Exception, match="configured provider"):
            await talking.ask("x", model="nobody/nothing")
        await talking.ask('[[{"text": "words"}, {"error": "CONTEXT_WINDOW_EXCEEDED", "message": "quoting words"}]]')
        event = await asyncio.to_thread(fake.next_event)
    assert event["message"] == "run failed: CONTEXT_WINDOW_EXCEEDED"
    assert event["tags"] == {"reason": "CONTEXT_WINDOW_EXCEEDED", "model": "scripted/script"}
    assert "words" not in str(event)
    assert len(fake.events) == 1


@requirement("sentry_harmless")
@pytest.mark.parametrize("status", [429, 500])
async def test_a_sentry_that_refuses_harms_nobody(tmp_path: Path, fake: FakeSentry, status: int) -> None:
    fake.status = status
    settings = Settings(database=f"sqlite:///{tmp_path / 'letta.db'}")
    async with serving_in_process(settings, {"SENTRY_DSN": fake.dsn}) as house, house.channel() as channel:
        talking = await talk(Stubs(channel), "scripted/script")
        for _ in range(3):
            failed = run_of(await talking.ask('[[{"error": "MODEL_OVERLOADED", "message": "later"}]]'))
            assert failed.state == runs_pb2.RUN_STATE_FAILED
        await asyncio.to_thread(fake.next_event)
        await talking.goes_on()


@requirement("sentry_harmless")
def test_a_sentry_that_is_away_holds_up_no_stop_for_long() -> None:
    away = sentry_from_env({"SENTRY_DSN": "http://public@127.0.0.1:9/1"})
    assert away
    logging.getLogger("letta_grpc.some").error("nobody hears this")
    away.close()
    # What is logged after that is nobody's business.
    logging.getLogger("letta_grpc.some").error("nor this")
