"""`letta-grpc`, and `python -m letta_grpc`."""

import os
import sys


def main() -> None:
    """Run the command line; say what to install where its packages are missing."""
    # Without this grpc's C core writes notes of its own between the lines that people and scripts read.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from letta_grpc.cli.program import program  # noqa: PLC0415 - the base install has none of what this needs
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("letta_grpc"):
            raise
        sys.exit(f"letta-grpc needs the server's packages ({missing.name} is missing): pip install 'letta-grpc[server]'")
    program()


if __name__ == "__main__":
    main()
