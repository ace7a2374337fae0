"""`make docs`: writes the generated tables, and what transcripts and notebooks show with a new server."""

import re
import shutil
import tempfile
from pathlib import Path

from tests.support.documents import DOCUMENTS, Addresses, Exchange, blocks, documented_server, exchanges, normal, play
from tests.support.notebooks import NOTEBOOKS, execute, shown
from tests.support.server_process import environment
from tests.support.tables import TABLES, with_tables

_CONSOLE = re.compile(r"(```console\n)(.*?)(```)", re.DOTALL)


def record(path: Path, addresses: Addresses, folder: Path) -> None:
    """Run a document's transcript and write down what it printed, less what differs each time."""
    told = exchanges("".join(block.text for block in blocks(path) if block.language == "console"))
    played = iter(play(_at(told, addresses), environment(), folder))

    def replay(match: re.Match[str]) -> str:
        lines = []
        for exchange in exchanges(match[2]):
            output = normal(next(played).output)
            command = exchange.command.replace("\n", "\n> ")
            lines += [f"$ {command}", *([output] if output else [])]
        return match[1] + "\n".join(lines) + "\n" + match[3]

    path.write_text(addresses.documented(_CONSOLE.sub(replay, path.read_text())))


def _at(told: list[Exchange], addresses: Addresses) -> list[Exchange]:
    return [Exchange(addresses.named_in(exchange.command), "") for exchange in told]


def main() -> None:
    """Write everything that is written by machine."""
    for path in TABLES:
        path.write_text(with_tables(path))
    for path in DOCUMENTS:
        if any(block.language == "console" for block in blocks(path)):
            with tempfile.TemporaryDirectory() as folder, documented_server(Path(folder)) as addresses:
                record(path, addresses, Path(folder))
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder, documented_server(Path(folder)) as addresses:
            executed = execute(path, addresses, Path(folder))
            # Pictures and times differ each time, which alone is no news.
            if shown(executed) != shown(path):
                shutil.copy(executed, path)


if __name__ == "__main__":
    main()
