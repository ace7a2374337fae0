"""What a tool returned or raised, as text for a model."""

import traceback

from pydantic_core import PydanticSerializationError, to_json

from .signature import FILE_NAME

_TRACEBACK_LINES = 30
_TRACEBACK_CHARACTERS = 4000


def text_of(value: object, limit: int) -> str:
    """Return a text as it is, anything else as JSON, or as Python shows it where JSON has no word for it."""
    if isinstance(value, str):
        return _cut(str(value), limit)
    try:
        return _cut(to_json(value).decode(), limit)
    except (PydanticSerializationError, ValueError, RecursionError):
        return _cut(repr(value), limit)


def _cut(text: str, limit: int) -> str:
    if len(text.encode("utf-8", "replace")) < limit:
        return text
    notice = f"\n[cut: the tool returned {len(text)} characters]"
    # A byte goes to the letter before the text, and a character cut in half is replaced by three.
    room = limit - len(notice) - 4
    return text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + notice


def traceback_of(failure: BaseException) -> str:
    """Return the end of the traceback, of the tool's own lines only."""
    try:
        report = traceback.TracebackException.from_exception(failure)
        _keep_own_frames(report, set())
        lines = "".join(report.format()).splitlines()
        return "\n".join(lines[-_TRACEBACK_LINES:])[-_TRACEBACK_CHARACTERS:]
    except BaseException:  # noqa: BLE001 - an exception's own text is the tool's code, too
        return type(failure).__name__


def _keep_own_frames(report: traceback.TracebackException | None, seen: set[int]) -> None:
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    own = [frame for frame in report.stack if frame.filename == FILE_NAME]
    report.stack = traceback.StackSummary.from_list(own)
    for other in (report.__cause__, report.__context__, *(report.exceptions or ())):
        _keep_own_frames(other, seen)
