"""The page's sources and what is committed of them; its parser in Node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.requirements.registry import requirement
from tests.support.browsers import PAGE_SOURCES, PAGE_TOOLS, Served
from tests.support.programs import missing, required

BUILT = PAGE_SOURCES.parent / "static/page"


@pytest.fixture(scope="module")
def node() -> str:
    """Node with the page's tools."""
    program = required("node", "nodejs")
    if not (PAGE_SOURCES / "node_modules/esbuild").exists():
        missing(PAGE_TOOLS)
    return program


def run(*command: str, stdin: bytes = b"") -> bytes:
    result = subprocess.run(command, cwd=PAGE_SOURCES, input=stdin, capture_output=True, check=False, timeout=50)  # noqa: S603 - our own
    assert result.returncode == 0, (result.stdout + result.stderr).decode()
    return result.stdout


def test_the_committed_page_is_what_its_sources_give(node: str, tmp_path: Path) -> None:
    run(node, "build.mjs", str(tmp_path))
    built = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_text() for path in BUILT.iterdir()}, "stale: run `make page`"


def test_the_types_hold(node: str) -> None:
    run(node, "node_modules/typescript/bin/tsc", "--noEmit")


def test_a_changed_source_is_noticed(node: str, tmp_path: Path) -> None:
    """The comparison above can fail."""
    copy = tmp_path / "page"
    shutil.copytree(PAGE_SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(PAGE_SOURCES / "node_modules")
    source = copy / "src/meter.ts"
    source.write_text(source.read_text().replace("tokens/s", "words/s"))
    subprocess.run([node, "build.mjs", str(tmp_path / "out")], cwd=copy, check=True, timeout=50)  # noqa: S603 - our own
    assert (tmp_path / "out/page.js").read_text() != (BUILT / "page.js").read_text()


def split_everywhere(node: str, stream: bytes) -> Any:  # noqa: ANN401 - JSON
    return json.loads(run(node, "frames_at_every_split.mjs", stdin=stream))


@requirement("tutorial_reader")
def test_events_are_whole_at_every_byte_where_a_stream_can_be_cut(node: str, server: Served) -> None:
    text = json.dumps([[{"text": "Grüße, "}, {"reasoning": "思考 "}, {"text": "🙂 and\nlines\r\n"}]])
    body = {"run": {"messages": [{"user": {"text": text}}]}}
    path = f"/api/v1/agents/{server.agent()}/runs:stream"
    stream = server.api.post(path, json=body, headers={"accept-encoding": "identity"}).content
    events = split_everywhere(node, stream)
    assert [event["id"] for event in events] == [str(number) for number in range(1, len(events) + 1)]
    told = [json.loads(event["data"]) for event in events]
    assert [one["textDelta"]["text"] for one in told if "textDelta" in one] == ["Grüße, ", "🙂 and\nlines\r\n"]
    assert [event["event"] for event in events][-1] == "run_finished"


def test_the_parser_reads_what_the_standard_allows(node: str) -> None:
    stream = (
        "\ufeffid: 1\r\nevent: a\r\ndata: é🙂\r\n\r\n: comment\nretry: 5\n\nid: 2\rdata: one\rdata:two\rdata:  three\r\r"
        "data\n\nevent: none\n\nunknown: x\nid: 3\nid: bad\0\ndata: last\n\nid: 4\ndata: never ended"
    )
    assert split_everywhere(node, stream.encode()) == [
        {"id": "1", "event": "a", "data": "é🙂"},
        {"id": "2", "event": "message", "data": "one\ntwo\n three"},
        {"id": None, "event": "message", "data": ""},
        {"id": "3", "event": "message", "data": "last"},
    ]
