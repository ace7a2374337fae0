"""Each capability that the streaming tutorial promises, with what shows it: nothing of the list is left out."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.requirements.registry import marked_tests, requirement

ROOT = Path(__file__).parents[2]
# Box → the requirements that it is made of; `tests/requirements/tutorial.py` says each of them.
BOXES: dict[str, Sequence[str]] = {
    "streaming token by token, interruptible": ("tutorial_tokens", "tutorial_stop"),
    "a generator in Python, agents made by name": ("tutorial_generator",),
    "POST /stream and GET /": ("tutorial_stream", "tutorial_failure", "tutorial_status"),
    "framed once, nothing that blocks": ("tutorial_framing", "tutorial_several"),
    "a reader in the browser": ("tutorial_reader",),
    "a React hook": ("tutorial_react",),
    "tool calls": ("tutorial_tools",),
    "progress": ("tutorial_progress",),
    "several agents": ("tutorial_several",),
    "WebSockets": ("tutorial_socket", "tutorial_chat"),
    "interrupted connections": ("tutorial_interruption",),
    "rate limits": ("tutorial_rate",),
    "larger chunks": ("tutorial_chunks",),
    "compression": ("tutorial_compression",),
    "testable in process": ("tutorial_testable",),
    "a whole chat application": ("tutorial_application",),
    "metrics": ("tutorial_metrics",),
    "backpressure": ("tutorial_backpressure",),
}
# Run by `make clients`, as all tests of that client.
REACT_TESTS = (
    "words are shown as they come, and a second turn follows the first",
    "stop cancels the run and keeps what it has said",
    "leaving ends the reading and not the run",
    "what the server refuses is shown",
)


@pytest.mark.parametrize("box", BOXES)
def test_a_box_is_ticked_by_named_tests(box: str) -> None:
    for name in BOXES[box]:
        assert marked_tests()[name], name


def test_every_requirement_of_the_tutorial_is_in_a_box() -> None:
    boxed = {name for names in BOXES.values() for name in names}
    assert {name for name in marked_tests() if name.startswith("tutorial_")} == boxed


@requirement("tutorial_react")
def test_the_react_hook_is_shown_in_its_own_language() -> None:
    tests = (ROOT / "clients/typescript/test/react_chat.test.ts").read_text()
    for name in REACT_TESTS:
        assert f'test("{name}"' in tests
