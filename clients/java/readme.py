"""Runs what README.md shows: its program, then its statements with that program's client and agent at hand."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "target"
SHOWN_ADDRESS = "127.0.0.1:50051"
SECONDS = 60.0
EXPECTED = ["Good morning! RUN_STATE_COMPLETED", "And now?"]


@contextmanager
def serving() -> Iterator[str]:
    """Serve agents; give the address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LETTA_GRPC_", "OTEL_"))}
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'letta.db'}"
        command = [sys.executable, "-m", "letta_grpc", "serve", "--listen", "127.0.0.1:0", "--database", database]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:  # noqa: S603 - our own
            try:
                assert server.stdout is not None
                yield server.stdout.readline().strip().removeprefix("listening grpc=")
            finally:
                server.kill()


def program(readme: str, address: str) -> str:
    """Return both blocks of code as one program."""
    whole, statements = map(str, re.findall(r"```java\n(.*?)```", readme, re.DOTALL))
    made = re.search(r"Agent ada = .*;\n", whole)
    assert made is not None
    inside = made.end() + whole[made.end() :].index("\n      }\n") + len("\n      }\n")
    joined = whole[:inside] + statements + whole[inside:]
    return "import java.time.Duration;\n" + joined.replace(SHOWN_ADDRESS, address)


def main() -> int:
    """Run it, and compare what it prints."""
    source = TARGET / "Example.java"
    class_path = os.pathsep.join([str(TARGET / "classes"), (TARGET / "classpath").read_text()])
    with serving() as address:
        source.write_text(program((HERE / "README.md").read_text(encoding="utf-8"), address), encoding="utf-8")
        command = ["java", "-cp", class_path, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603 - our own command
    printed = done.stdout.splitlines()
    if done.returncode == 0 and printed == EXPECTED:
        print("the example of the README does what it says")
        return 0
    print(f"the example of the README printed {printed}, not {EXPECTED}\n{done.stderr}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
