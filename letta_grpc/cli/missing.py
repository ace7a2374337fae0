"""Packages that the base install, which is the client, does not have."""

import sys
from typing import NoReturn


def stop_for_lack_of(missing: ModuleNotFoundError) -> NoReturn:
    """Exit and say what to install; raise the error again if it is a file of our own that is missing."""
    if (missing.name or "").startswith("letta_grpc"):
        raise missing
    lack = f"letta-grpc needs the server's packages ({missing.name} is missing)"
    sys.exit(f"{lack}: pip install 'letta-grpc[server]', or '.[server]' in a clone of it")
