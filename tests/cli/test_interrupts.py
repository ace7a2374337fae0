"""Ctrl-C while a command still begins: it ends as any other that is interrupted, and says nothing."""

import subprocess
import sys

from tests.support.server_process import environment

# What a person who presses Ctrl-C in the first moments meets.
PROGRAM = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from letta_grpc.__main__ import main
main()
"""


def test_an_interrupt_while_packages_are_imported_leaves_no_traceback() -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=50, env=environment()
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
