from typing import Any

from tests.support.server_process import letta_grpc


def test_the_demo_shows_text_a_memory_edit_and_a_stream_that_survives_a_cut() -> None:
    # Whatever the shell has set for a server.
    foreign: dict[str, Any] = {"API_KEYS": "a-key", "API_KEYS_FILE": "none", "TLS_KEY_FILE": "none", "HTTP": "192.0.2.1:80"}
    shown = letta_grpc("demo", **{f"LETTA_GRPC_{name}": value for name, value in foreign.items()})
    assert shown.returncode == 0, shown.stderr
    text = shown.stdout
    assert "scripted/demo answers: a script, not a language model." in text
    assert "before: 'I know nothing about this person yet.'" in text
    assert "The person's name is Ada." in text.partition("after:")[2]
    cut = int(text.partition("connection cut after event ")[2].split()[0])
    assert f"attached again: the first event is {cut + 1}" in text
    assert text.count("none missing, none twice") == 2
    assert "first token after" in text
    tool = text.partition("A tool of one's own")[2]
    if "Skipped:" not in tool:
        in_order = ["→ launch", "? launch", "── approved: launch", "│ 3", "│ 2", "│ 1", "← Saturn is on its way."]
        assert sorted(in_order, key=tool.index) == in_order
    assert shown.stderr == ""


def test_the_demo_without_a_sandbox_says_so_and_goes_on() -> None:
    shown = letta_grpc("demo", LETTA_GRPC_TOOL_SANDBOX="off")
    assert shown.returncode == 0, shown.stderr
    assert "Skipped: " in shown.stdout


def test_a_model_that_nobody_has_ends_the_demo_with_a_line() -> None:
    refused = letta_grpc("demo", "--model", "nobody/has-this")
    assert refused.returncode == 2
    assert "MODEL_UNKNOWN" in refused.stderr
    assert "Traceback" not in refused.stderr
