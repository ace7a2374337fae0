"""A person is asked about a call, and asked again when an editor is of no help."""

import io
from typing import Any

import pytest
from rich.console import Console

from letta_grpc.cli.deciding import asking
from letta_grpc.client import approve

CALL: dict[str, Any] = {
    "toolCallId": "a",
    "name": "note",
    "arguments": '{"text": "milk"}',
    "kind": "ACTION_KIND_APPROVAL",
}


@pytest.mark.parametrize(
    ("editor", "told"),
    [
        ("no-such-editor --wait", "no-such-editor --wait: No such file or directory"),
        ("/", "/: Permission denied"),
        ("vi '", "vi ': No closing quotation"),
        ("false", "false: ended with 1"),
        ("sh -c 'kill $$'", ": ended with -15"),
        ("rm", "rm: No such file or directory"),
        ("cp /bin/true", "cp /bin/true: it left no text"),
        ("sed -i s/}//", "That is not JSON"),
    ],
)
def test_an_editor_that_is_of_no_help_is_told_in_a_line_and_the_person_asked_again(
    monkeypatch: pytest.MonkeyPatch, editor: str, told: str
) -> None:
    monkeypatch.setenv("VISUAL", editor)
    monkeypatch.setattr("sys.stdin", io.StringIO("e\na\n"))
    shown = io.StringIO()
    assert asking(Console(file=shown, width=200))([CALL]) == {"a": approve()}
    assert told in shown.getvalue()
    assert shown.getvalue().count("\n") == 1
