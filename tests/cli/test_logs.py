"""What is logged of something that broke, in either form."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from letta_grpc.cli.logs import configure_logging
from letta_grpc.settings import Settings


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    level, handlers = logger.level, logger.handlers[:]
    # Whoever else listens is not to be closed.
    logger.handlers = []
    yield logger
    logger.handlers, logger.level = handlers, level
    for name in ("grpc._cython", "httpx2", "alembic", "opentelemetry.exporter"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def broken(secret: str) -> None:
    raise ValueError(len(secret))


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_variables_held_is_not_logged(root: logging.Logger, form: str) -> None:
    stream = io.StringIO()
    configure_logging(Settings.model_validate({"log_format": form}), stream)
    secret = "s3cret"
    try:
        broken(secret)
    except ValueError:
        root.exception("it broke")
    told = stream.getvalue()
    assert "it broke" in told
    assert "ValueError" in told
    assert "s3cret" not in told
    if form == "json":
        assert json.loads(told)["exception"][0]["frames"][-1]["name"] == "broken"


@pytest.mark.parametrize("name", ["httpx2", "httpcore2", "openai._base_client"])
def test_addresses_that_are_asked_are_not_logged(root: logging.Logger, name: str) -> None:
    stream = io.StringIO()
    configure_logging(Settings.model_validate({"log_level": "debug"}), stream)
    asking = logging.getLogger(name)
    asking.info("HTTP Request: GET %s", "http://bob:topsecretpw@a.test/v1/models")
    asking.debug("HTTP Response: GET %s", "http://bob:topsecretpw@a.test/v1/models")
    asking.warning("it broke")
    root.info("the rest is logged")
    assert "it broke" in stream.getvalue()
    assert "the rest is logged" in stream.getvalue()
    assert "topsecretpw" not in stream.getvalue()


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("value", "codes"), [("1", 0), ("", 1)])
def test_colours_are_for_those_who_want_them(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, value: str, codes: int
) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    screen = Screen()
    configure_logging(Settings(), screen)
    root.warning("said")
    assert min(screen.getvalue().count("\x1b["), 1) == codes


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_message_is_not_said_twice(root: logging.Logger, form: str) -> None:
    stream = io.StringIO()
    configure_logging(Settings.model_validate({"log_format": form}), stream)
    root.warning("Started process %d", 7, extra={"color_message": "Started \x1b[36m%d\x1b[0m", "run_id": "run-1"})
    assert "run-1" in stream.getvalue()
    assert "color" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_entry_is_one_line_and_no_order_to_a_terminal_whatever_others_have_put_into_it(
    root: logging.Logger, form: str
) -> None:
    stream = io.StringIO()
    configure_logging(Settings.model_validate({"log_format": form}), stream)
    root.warning("no answer from %s", "bad\n2026-11-23 [error] all is lost\x1b[2J\x9b2J", extra={"peer": "\x1b[2J"})
    (line,) = stream.getvalue().splitlines()
    assert "all is lost" in line
    assert line.isprintable()


@pytest.mark.parametrize(("level", "capped"), [("debug", logging.INFO), ("info", logging.INFO), ("error", logging.ERROR)])
def test_what_grpc_says_of_each_poll_is_left_out(root: logging.Logger, level: str, capped: int) -> None:
    configure_logging(Settings.model_validate({"log_level": level}), io.StringIO())
    assert root.getChild("grpc._cython.cygrpc").getEffectiveLevel() == capped


@pytest.mark.parametrize(
    ("name", "heard"),
    [("alembic.runtime.plugins", logging.WARNING), ("opentelemetry.exporter.otlp.proto.grpc.exporter", logging.ERROR)],
)
def test_of_what_libraries_do_only_what_matters_is_logged(root: logging.Logger, name: str, heard: int) -> None:
    stream = io.StringIO()
    configure_logging(Settings(), stream)
    logging.getLogger(name).log(heard - 10, "it goes on")
    logging.getLogger(name).log(heard, "it broke")
    root.info("the rest is logged")
    assert "it goes on" not in stream.getvalue()
    assert "it broke" in stream.getvalue()
    assert "the rest is logged" in stream.getvalue()


def test_errors_alone_are_logged_where_nothing_else_is_asked_for(root: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging(Settings.model_validate({"log_level": "error"}), stream)
    for logger in (root, logging.getLogger("httpx2"), logging.getLogger("alembic")):
        logger.warning("it might break")
        logger.error("it broke")
    assert stream.getvalue().count("it might break") == 0
    assert stream.getvalue().count("it broke") == 3
