"""The zygote as the server sees it: started when first needed, started again when it is gone."""

import asyncio
import logging
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from letta_grpc.adapters.sandbox.calls import Call
from letta_grpc.adapters.sandbox.inside import zygote
from letta_grpc.adapters.sandbox.inside.limits import Limits
from letta_grpc.domain.errors import ToolSandboxUnavailable

_FOLDER = str(Path(__file__).parent)
# The folder is on the path for as long as the import takes: tools must not find it there.
_BOOT = (
    "import sys; sys.path.insert(0, {folder!r}); from inside import zygote; del sys.path[0]; zygote.{function}(*sys.argv[1:])"
)
_START_SECONDS = 60.0
_PROBE_SECONDS = 20.0

logger = logging.getLogger(__name__)


def _command(function: str, *arguments: str) -> list[str]:
    code = _BOOT.format(folder=_FOLDER, function=function)
    return [sys.executable, "-I", "-c", code, *arguments]


def probe(limits: Limits) -> str | None:
    """Try on this machine what a call needs; return what does not work. Blocks for about a tenth of a second."""
    if limits.contained and not sys.platform.startswith("linux"):
        return f"tools are contained by Linux namespaces, and this is {sys.platform}"
    try:
        command = _command("probe", limits.to_json())
        done = subprocess.run(command, env={}, cwd="/", capture_output=True, timeout=_PROBE_SECONDS, check=False)  # noqa: S603 - ourselves
    except (OSError, subprocess.TimeoutExpired) as failure:
        return f"its process does not start: {failure}"
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return None if done.returncode == 0 else (said[-1] if said else f"exit code {done.returncode}")


class WarmProcess:
    """Owns the zygote. With it ends every process that was ever forked from it."""

    def __init__(self, limits: Limits, *, allow_uncontained: bool = False) -> None:
        self._limits = limits
        self._allow_uncontained = allow_uncontained
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None

    @property
    def process_id(self) -> int | None:
        """The id of the zygote's launcher, with which it ends."""
        return self._process.pid if self._process else None

    @property
    def contains(self) -> bool:
        """Whether tools are contained, as far as is known: the first call finds out where they need not be."""
        return self._limits.contained

    async def fork(self, call: Call, *, network: bool) -> None:
        """Have a cell forked that holds the other ends of a call.

        Raises ToolSandboxUnavailable.
        """
        order = zygote.NETWORK_ALLOWED if network else zygote.NETWORK_REFUSED
        for _ in range(2):
            control = await self._running()
            try:
                socket.send_fds(control, [order], call.their_ends)
            except OSError:
                # It has gone since the last call, which nobody waits for: a new one takes the order.
                logger.warning("the sandbox's process is gone: a new one starts")
                await self.aclose()
            else:
                return
        raise ToolSandboxUnavailable("The sandbox's process ends as soon as it has started.")

    def kill(self) -> None:
        """End all calls at once."""
        if self._process:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def aclose(self) -> None:
        """End the zygote and with it whatever runs; return when it is gone."""
        process, self._process = self._process, None
        control, self._control = self._control, None
        if control:
            control.close()
        if process:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _running(self) -> socket.socket:
        async with self._starting:
            if self._control is None:
                try:
                    await self._start_as_allowed()
                except OSError as failure:
                    raise ToolSandboxUnavailable(f"The sandbox does not start: {failure}") from failure
            assert self._control  # noqa: S101 - _start has raised otherwise
            return self._control

    async def _start_as_allowed(self) -> None:
        try:
            await self._start()
        except ToolSandboxUnavailable as unavailable:  # Not for an OSError: what the server lacks now, it may have later.
            if not self._allow_uncontained or not self._limits.contained:
                raise
            logger.warning("tools run uncontained", extra={"reason": unavailable.message})
            self._limits = replace(self._limits, contained=False)
            await self._start()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - positional only
        command = _command("main", self._limits.to_json(), str(theirs.fileno()))
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    env={},
                    cwd="/",
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            self._control = ours
            await self._greet(ours)
        except BaseException:
            ours.close()
            await self.aclose()
            raise

    async def _greet(self, control: socket.socket) -> None:
        async with asyncio.timeout(_START_SECONDS):
            greeting = (await asyncio.get_running_loop().sock_recv(control, 4096)).decode(errors="replace").strip()
        if greeting != "ready":
            reason = greeting.removeprefix("failed ") or "its process ended"
            raise ToolSandboxUnavailable(f"Tools cannot be contained on this machine: {reason}")
