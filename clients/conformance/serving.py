"""Runs a command beside a real server, whose address is in LETTA_GRPC_TARGET: `serving.py -- COMMAND [ARGUMENTS]`.

For what a client's README shows: the server has an empty database, wants no key and knows the models `scripted/…`.
"""

import argparse
import os
import subprocess
import sys

from chaos import victim


def main() -> int:
    """Run it; return its exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("command", nargs="+")
    command = arguments.parse_args().command
    with victim() as server:
        environment = {**os.environ, "LETTA_GRPC_TARGET": server.start()}
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - the caller's program


if __name__ == "__main__":
    sys.exit(main())
