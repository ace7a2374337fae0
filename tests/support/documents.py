"""The code blocks of documents, and what of an output may differ from one run to the next."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.support.server_process import serving_process

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "letta_grpc/README.md",
    ROOT / "letta_grpc/gateway/README.md",
    ROOT / "tests/README.md",
    ROOT / "protos/README.md",
    ROOT / "clients/README.md",
    ROOT / "clients/python/README.md",
    *sorted((ROOT / "clients/shell").glob("*.md")),
]
BLOCK_SECONDS = 60

_VARYING = (
    (re.compile(r"\b(agent|run|conv|step|message|block)-[0-9a-f]{8}-[0-9a-f-]{27}"), r"\1-…"),
    (re.compile(r"\bcall_[0-9a-f]{32}\b"), "call_…"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "…"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "…Z"),
    (re.compile(r'"\d+(\.\d+)?s"'), '"…s"'),
    (re.compile(r'("tokens(?:PerSecond|_per_second)":\s*)[0-9.e+]+'), r"\1…"),
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a server listens, `host:port`; the defaults are what documents name."""

    grpc: str = "127.0.0.1:50051"
    http: str = "127.0.0.1:8283"

    def named_in(self, text: str) -> str:
        """Return a document's text with these addresses."""
        return text.replace(DOCUMENTED.grpc, self.grpc).replace(DOCUMENTED.http, self.http)

    def documented(self, text: str) -> str:
        """Return what was printed with the addresses that documents name."""
        return text.replace(self.grpc, DOCUMENTED.grpc).replace(self.http, DOCUMENTED.http)


DOCUMENTED = Addresses()


@contextmanager
def documented_server(folder: Path) -> Iterator[Addresses]:
    """Run the server that documents talk to."""
    with serving_process(folder, "--http", "127.0.0.1:0") as (address, _):
        grpc, _, http = address.partition(" http=http://")
        yield Addresses(grpc, http)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is where its text begins."""

    path: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command of a transcript, and what it printed."""

    command: str
    output: str


def blocks(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document."""
    for token in MarkdownIt().parse(path.read_text()):
        if token.type == "fence":
            start = token.map[0] + 2 if token.map else 0
            yield Block(path, start, token.info.strip(), token.content)


def exchanges(transcript: str) -> list[Exchange]:
    """Return a transcript's commands: `$` begins one, `>` goes on with it, everything else is what it printed."""
    found: list[Exchange] = []
    for line in transcript.splitlines():
        if line.startswith("$ "):
            found.append(Exchange(line[2:], ""))
        elif line.startswith("> ") and not found[-1].output:
            found[-1] = Exchange(f"{found[-1].command}\n{line[2:]}", "")
        else:
            found[-1] = Exchange(found[-1].command, f"{found[-1].output}{line}\n")
    return found


def play(transcript: list[Exchange], environment: Mapping[str, str], folder: Path) -> list[Exchange]:
    """Run the commands in one shell; return them with what they printed now."""
    mark = "=== the end of a command ==="
    script = folder / "transcript.sh"
    script.write_text("".join(f"{exchange.command}\necho '{mark}'\n" for exchange in transcript))
    result = subprocess.run(  # noqa: S603 - our own documents
        ["/bin/bash", script],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=BLOCK_SECONDS,
    )
    outputs = result.stdout.split(f"{mark}\n")[:-1]
    return [Exchange(exchange.command, output) for exchange, output in zip(transcript, outputs, strict=True)]


def normal(output: str) -> str:
    """Return an output with what differs from run to run taken out."""
    for pattern, replacement in _VARYING:
        output = pattern.sub(replacement, output)
    return output.strip()
