"""Logs: one line an entry, to stderr, for people on a terminal and as JSON for everything else."""

import logging
import os
import sys
from typing import TextIO

from letta_grpc.cli.rendering import visible
from letta_grpc.settings import Settings

# structlog loads rich, for tracebacks in colours, which ours are not: a tenth of a server's start, and 3 MiB.
_RICH = sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None: as if it were not installed
import structlog  # noqa: E402 - see above

if _RICH is None:
    del sys.modules["rich"]

_TALKATIVE = {
    # They log each address that is asked, with the password in it.
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "openai": logging.WARNING,
    # Seven lines on what it has loaded, in front of the one that says why a database is refused.
    "alembic": logging.WARNING,
    # It warns before it tries once more, as long as a collector is away: that it gave up is an error, and enough.
    "opentelemetry.exporter": logging.ERROR,
}


def configure_logging(settings: Settings, stream: TextIO = sys.stderr) -> None:
    """Send what everybody logs through one formatter."""
    for_people = settings.log_format == "console" or (settings.log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    colors = stream.isatty() and not os.environ.get("NO_COLOR")
    handler.setFormatter(_formatter(colors=colors) if for_people else _json_formatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name, level in _TALKATIVE.items():
        logging.getLogger(name).setLevel(max(level, logging.getLogger().level))
    # At debug it tells of each poll, which is more lines than all others together.
    logging.getLogger("grpc._cython").setLevel(max(logging.INFO, logging.getLogger().level))


def _without_markup(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop what uvicorn adds for its own formatter: its message once more, with the codes of colours in it."""
    entry.pop("color_message", None)
    return entry


def _on_one_line(_logger: object, _method: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Write control characters out: callers' and providers' words are in some entries, and could look like other ones."""
    return {name: visible(value, keep="") if isinstance(value, str) else value for name, value in entry.items()}


_COMMON: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _without_markup,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


# What variables held when something broke is not logged: keys, secrets and what people say are among it.
_PLAIN_TRACEBACKS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def _formatter(*, colors: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_COMMON,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _on_one_line,
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
        ],
    )


def _json_formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_COMMON,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(_PLAIN_TRACEBACKS),
            structlog.processors.JSONRenderer(),
        ],
    )
