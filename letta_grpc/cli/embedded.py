"""A server of one's own, as a process beside the command."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer

from letta_grpc.settings import variable_of

STOP_SECONDS = 30
# What a server has that its own command alone calls. The environment may mean another: with keys, and for other machines.
PRIVATE: Mapping[str, str] = {
    "listen": "127.0.0.1:0",
    "http": "",
    "api_keys": "",
    "api_keys_file": "",
    "tls_certificate_file": "",
    "tls_key_file": "",
    "standby": "false",
    "log_level": "error",
}


@contextmanager
def embedded_server(database: str) -> Iterator[str]:
    """Run a server on a free loopback port; give its address, and stop it at the end. Exits with its code if it cannot start.

    A process of its own, in a group of its own: Ctrl-C is for the conversation and must not reach the server. Its stdin is its
    life line: that ends together with this process, and no signal that ends this one can keep it from it.
    """
    command = [sys.executable, "-m", "letta_grpc", "serve", "--until-stdin-ends"]
    # Not on its command line: everybody on the machine could read a password in it there.
    settings = {**PRIVATE, "database": database}
    environment = {**os.environ, **{variable_of(name): value for name, value in settings.items()}}
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=pipe, stdout=pipe, text=True, process_group=0, env=environment
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("listening grpc="):
            raise typer.Exit(process.wait())
        try:
            yield line.strip().removeprefix("listening grpc=")
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
