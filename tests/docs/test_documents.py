"""Every block of every document runs, every link leads somewhere, and every generated table is fresh."""

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.requirements.registry import requirement
from tests.support.documents import (
    BLOCK_SECONDS,
    DOCUMENTS,
    ROOT,
    Addresses,
    Block,
    blocks,
    documented_server,
    exchanges,
    normal,
    play,
)
from tests.support.programs import required
from tests.support.server_process import PROGRAM, environment, letta_grpc, serving_process
from tests.support.tables import TABLES, with_tables

ALL = [block for path in DOCUMENTS for block in blocks(path)]
# The clients of other languages run the blocks of theirs themselves.
LINKED = sorted({*DOCUMENTS, *ROOT.glob("clients/*/README.md")})
# A stranger's first commands, told apart by where they stand: they set everything up and need no server.
FIRST, DEVELOPING = "shell first", "shell developing"
# Two servers on two machines, and a command that knows both.
STANDBY = "shell standby"


def of(*languages: str) -> list[Block]:
    return [block for block in ALL if block.language in languages]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    with documented_server(tmp_path_factory.mktemp("documents")) as addresses:
        yield addresses


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def standing_by(arguments: Sequence[str], settings: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    command = [*PROGRAM, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment(**settings)) as process:  # noqa: S603 - our own
        try:
            yield process
        finally:
            process.kill()


def line_of(output: IO[str] | None) -> str:
    return output.readline() if output else ""


def require(program: str, block: Block) -> None:
    if program in block.text:
        required(program, path=environment()["PATH"])


def test_every_block_is_of_a_kind_that_is_run_or_a_drawing() -> None:
    assert {block.language for block in ALL} <= {"python", "shell", "console", FIRST, DEVELOPING, STANDBY, "text"}
    assert of("python")
    assert of("console")
    assert len(of(FIRST)) == len(of(DEVELOPING)) == len(of(STANDBY)) == 1


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_a_python_block_runs(block: Block, addresses: Addresses) -> None:
    code = addresses.named_in(block.text)
    result = subprocess.run(  # noqa: S603 - our own documents
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=BLOCK_SECONDS,
        env=environment(),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize("block", of("shell"), ids=str)
def test_a_shell_block_runs(block: Block, addresses: Addresses, tmp_path: Path) -> None:
    for program in ("grpcurl", "curl", "jq"):
        require(program, block)
    result = subprocess.run(  # noqa: S603 - our own documents
        ["/bin/bash", "-euo", "pipefail", "-c", addresses.named_in(block.text)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BLOCK_SECONDS,
        cwd=tmp_path,
        env=environment(LETTA_GRPC_TARGET=addresses.grpc),
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_transcript_is_what_its_commands_print(path: Path, addresses: Addresses, tmp_path: Path) -> None:
    transcript = [block for block in blocks(path) if block.language == "console"]
    if not transcript:
        return
    for block in transcript:
        for program in ("grpcurl", "curl", "jq"):
            require(program, block)
    # One shell for all blocks of a document: what one sets, the next may use.
    told = exchanges(addresses.named_in("".join(block.text for block in transcript)))
    for expected, actual in zip(told, play(told, environment(), tmp_path), strict=True):
        assert normal(actual.output) == normal(expected.output), expected.command


@requirement("complaint_21_one_command")
@pytest.mark.timeout(400)
def test_the_first_commands_work_in_a_fresh_clone(tmp_path: Path) -> None:
    (block,) = of(FIRST)
    setup, chat, serve = block.text.splitlines()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", clone], check=True, timeout=60)  # noqa: S603, S607 - our own repository
    assert setup == "make demo"
    subprocess.run(["make", "demo"], cwd=clone, check=True, timeout=300, env=environment(), stdin=subprocess.DEVNULL)  # noqa: S607 - of the system
    assert chat == ".venv/bin/letta-grpc chat --embedded"
    talked = letta_grpc("chat", "--embedded", stdin="Hello!\n", LETTA_GRPC_DATABASE=f"sqlite:///{tmp_path / 'chat.db'}")
    assert talked.returncode == 0, talked.stderr
    assert "glad you are here" in talked.stdout
    assert serve == ".venv/bin/letta-grpc serve"
    with serving_process(tmp_path) as (_, process):
        process.terminate()
        assert process.wait(30) == 0


def test_a_server_that_stands_by_takes_the_place_of_one_that_was_killed(postgres_url: str, tmp_path: Path) -> None:
    (block,) = of(STANDBY)
    (tmp_path / "keys").write_text(key := "s3cret")
    text = block.text
    for documented, here in (
        ("postgresql://letta@db.example/letta", postgres_url),
        ("/etc/letta/keys", str(tmp_path / "keys")),
        ("10.0.0.1:50051", f"127.0.0.1:{free_port()}"),
        ("10.0.0.2:50051", f"127.0.0.1:{free_port()}"),
    ):
        assert documented in text
        text = text.replace(documented, here)
    settings, first, second, ask = (shlex.split(line, comments=True)[1:] for line in text.splitlines())
    own = dict(setting.split("=", 1) for setting in settings)
    with standing_by(first, own) as serving:
        assert "listening" in line_of(serving.stdout)
        with standing_by(second, own) as waiting:
            assert "standing by" in line_of(waiting.stderr)
            created = letta_grpc("agents", "create", "--model", "scripted/echo", *ask[2:], LETTA_GRPC_TARGET_API_KEY=key)
            assert created.returncode == 0, created.stderr
            serving.kill()
            listed = letta_grpc(*ask, LETTA_GRPC_TARGET_API_KEY=key)
            assert listed.stdout.splitlines()[1].startswith("agent-"), listed.stderr
            assert "listening" in line_of(waiting.stdout)


def test_the_targets_that_are_named_exist() -> None:
    (block,) = of(DEVELOPING)
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [line.split("#")[0].split() for line in block.text.splitlines()]
    assert all(command[0] == "make" and command[1] in targets for command in named)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_generated_tables_are_fresh(path: Path) -> None:
    assert path.read_text() == with_tables(path), "run `make docs`"


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        assert "://" in link or (path.parent / link).exists(), link


def test_the_tests_map_names_every_folder() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
    assert folders <= set(re.findall(r"`([a-z]+)/`", (ROOT / "tests/README.md").read_text()))


def test_the_gateways_map_names_every_module() -> None:
    gateway = ROOT / "letta_grpc/gateway"
    paths = [path for folder in (gateway, gateway / "faces") for path in folder.glob("*.py") if path.name != "__init__.py"]
    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", (gateway / "README.md").read_text()))
    assert {str(path.relative_to(gateway)) for path in paths} <= named
