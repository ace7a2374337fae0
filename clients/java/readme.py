"""Runs what README.md shows, on the server at LETTA_GRPC_TARGET: its program, and its statements inside of that."""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "target"
SHOWN_ADDRESS = "127.0.0.1:50051"
SECONDS = 120.0
EXPECTED = [
    "Hello! I am glad you are here. Tell me your name, and I will keep it in my memory. RUN_STATE_COMPLETED",
    "true",
    "The tool says: sunny",
    "INVALID_REQUEST {agent_id=must be agent-<uuid4>, in lower case}",
]


def program(readme: str, address: str) -> str:
    """Return both blocks of code as one program: the second where the first's client and agent are at hand."""
    whole, statements = map(str, re.findall(r"```java\n(.*?)```", readme, re.DOTALL))
    before, end_of_stream, after = whole.partition("\n      }\n")
    return "import java.time.Duration;\n" + (before + end_of_stream + statements + after).replace(SHOWN_ADDRESS, address)


def main() -> int:
    """Run it, and compare what it prints."""
    source = TARGET / "Example.java"
    shown = (HERE / "README.md").read_text(encoding="utf-8")
    source.write_text(program(shown, os.environ["LETTA_GRPC_TARGET"]), encoding="utf-8")
    class_path = os.pathsep.join([str(TARGET / "classes"), (TARGET / "classpath").read_text()])
    command = ["java", "-cp", class_path, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603 - our own command
    if done.returncode == 0 and done.stdout.splitlines() == EXPECTED:
        print("the README's program does what it says")
        return 0
    print(f"the README's program printed\n{done.stdout}{done.stderr}\nand not", *EXPECTED, sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
