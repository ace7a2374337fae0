"""The sandbox that is made of Linux namespaces."""

import asyncio
import json
import resource
from dataclasses import dataclass, replace
from typing import Any

from letta_grpc.adapters.sandbox.calls import Call
from letta_grpc.adapters.sandbox.endings import Ending, explain
from letta_grpc.adapters.sandbox.inside.limits import MIB, Limits
from letta_grpc.adapters.sandbox.inside.tool import INVALID, SIGNATURE, SUCCESS
from letta_grpc.adapters.sandbox.warm_process import WarmProcess, probe
from letta_grpc.domain.arguments import can_be_sent
from letta_grpc.domain.errors import ToolSandboxUnavailable, ToolSourceInvalid
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import MAX_TOOL_NAME, OutputStream, ToolSignature
from letta_grpc.ports.sandbox import SandboxCall
from letta_grpc.ports.tools import Output, ToolResult

# Beside the text of an answer: its letter, and a character that was cut in half.
_ANSWER_SLACK = 16
# Running the definitions of a tool's source, without calling it.
_DESCRIBE_SECONDS = 10.0
# Tools of Letta's SDKs all ask for network, and most need none: only one that fails has to be told.
_NO_NETWORK = "This server gives tools no network: LETTA_GRPC_TOOL_NETWORK=true allows it."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finished:
    ending: Ending
    stdout: tuple[str, ...]
    stderr: tuple[str, ...]


class NamespaceSandbox:
    """Runs every call in a fork of one warm process, in namespaces of its own.

    `memory_bytes` is what a tool may take beyond the interpreter: each of its processes of address space, all together
    of memory. `temp_bytes` is the size of its own folder, which is memory, too. `output_bytes` counts both streams;
    a tool that writes more is stopped. `return_bytes` is where a returned text is cut. At most `parallel_calls` run at
    a time, the others wait, and their timeouts begin when they run. `allow_network`: give tools that ask for network the
    server's own, else they run without.

    `allow_uncontained`: where there are no namespaces, run tools all the same, with limits for each process and as one
    process group, but with the files, the network and the user of the server. `contained=False` does not even try.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 512 * MIB,
        temp_bytes: int = 64 * MIB,
        file_bytes: int = 64 * MIB,
        max_open_files: int = 256,
        max_processes: int = 32,
        cpu_seconds: int = 60,
        output_bytes: int = 1 * MIB,
        return_bytes: int = 1 * MIB,
        parallel_calls: int = 8,
        allow_network: bool = False,
        allow_uncontained: bool = False,
        contained: bool = True,
    ) -> None:
        self._limits = Limits(
            memory_bytes=memory_bytes,
            temp_bytes=temp_bytes,
            file_bytes=file_bytes,
            open_files=max_open_files,
            processes=max_processes,
            cpu_seconds=_possible_cpu_seconds(cpu_seconds),
            return_bytes=return_bytes,
            contained=contained,
        )
        self._output_bytes = output_bytes
        self._places = asyncio.Semaphore(parallel_calls)
        self._allow_network = allow_network
        self._warm = WarmProcess(self._limits, allow_uncontained=allow_uncontained)
        self._probed: str | None = None
        self._was_probed = False

    @property
    def process_id(self) -> int | None:
        """The warm process's id, None before the first call. Whoever ends it ends all calls; the next one starts another."""
        return self._warm.process_id

    def unavailable(self) -> str | None:
        """Return why tools cannot be contained. Tries it out the first time, which blocks for about a tenth of a second."""
        if not self._was_probed:
            self._probed = probe(replace(self._limits, contained=True))
            self._was_probed = True
        return self._probed

    async def describe(self, code: str, *, name: str = "", parameters: str = "") -> ToolSignature:
        """See the port."""
        job = {"action": "describe", "code": code, "name": name, "schema_given": bool(parameters), "environment": {}}
        finished = await self._do(job, _DESCRIBE_SECONDS, _ignore, network=False)
        ending = finished.ending
        if not ending.is_complete:
            if ending.failure:
                raise ToolSandboxUnavailable(f"The sandbox failed: {ending.failure}")
            raise ToolSourceInvalid(self._explain(ending, _DESCRIBE_SECONDS))
        kind, text = _split(ending.answer)
        if kind == SIGNATURE:
            signature = _signature_of(text)
            return replace(signature, parameters=parameters) if parameters else signature
        raise ToolSourceInvalid(text if kind == INVALID else None)

    async def run(self, call: SandboxCall, output: Output) -> ToolResult:
        """See the port."""
        job = {
            "action": "run",
            "code": call.source.code,
            "name": call.name,
            "arguments": call.arguments,
            "environment": dict(call.environment),
        }
        seconds = call.source.timeout_seconds
        network = call.source.allow_network and self._allow_network
        try:
            finished = await self._do(job, seconds, output, network=network)
        except ToolSandboxUnavailable as unavailable:
            return _failed(f"{unavailable.reason}: {unavailable.message}")
        kind, text = _split(finished.ending.answer)
        if not finished.ending.is_complete:
            kind, text = b"", self._explain(finished.ending, seconds)
        status = ToolReturnStatus.SUCCESS if kind == SUCCESS else ToolReturnStatus.ERROR
        if status is ToolReturnStatus.ERROR and call.source.allow_network and not network and self._warm.contains:
            text = f"{text}\n{_NO_NETWORK}"
        return ToolResult(status=status, text=text, stdout=finished.stdout, stderr=finished.stderr)

    async def aclose(self) -> None:
        """End everything that runs. The sandbox starts again if it is used again."""
        await self._warm.aclose()

    async def _do(self, job: dict[str, Any], seconds: float, output: Output, *, network: bool) -> _Finished:
        async with self._places:
            call = Call(
                output,
                output_bytes=self._output_bytes,
                answer_bytes=self._limits.return_bytes + _ANSWER_SLACK,
                on_stuck=self._warm.kill,
            )
            try:
                await self._warm.fork(call, network=network)
                call.release_their_ends()
                await call.finish(json.dumps(job).encode(), seconds)
            finally:
                ending = await call.bury()
            return _Finished(ending=ending, stdout=call.lines(OutputStream.STDOUT), stderr=call.lines(OutputStream.STDERR))

    def _explain(self, ending: Ending, seconds: float) -> str:
        return explain(ending, limits=self._limits, timeout_seconds=seconds, output_bytes=self._output_bytes)


def _possible_cpu_seconds(wanted: int) -> int:
    """Return how long a tool may compute where no process may compute longer than this server."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    # The cell adds a second.
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most - 1)


def _ignore(_stream: OutputStream, _text: str) -> None:
    """What a source prints while it is described is of no interest."""


def _failed(text: str) -> ToolResult:
    return ToolResult(status=ToolReturnStatus.ERROR, text=text)


def _split(answer: bytes) -> tuple[bytes, str]:
    return answer[:1], answer[1:].decode(errors="replace")


def _signature_of(text: str) -> ToolSignature:
    """Read what may be a forgery: the source has run in the process that wrote it."""
    try:
        fields = json.loads(text)
        name, description, parameters = fields["name"], fields["description"], fields["parameters"]
        schema = json.loads(parameters)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ToolSourceInvalid("The source describes itself in a way that cannot be read.") from None
    if not (isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= MAX_TOOL_NAME):
        raise ToolSourceInvalid(f"A tool's name has up to {MAX_TOOL_NAME} letters, digits and underscores.")
    if not isinstance(schema, dict) or not isinstance(description, str):
        raise ToolSourceInvalid("The source describes itself in a way that cannot be read.")
    if not can_be_sent([schema, description]):
        raise ToolSourceInvalid("The docstring or the hints hold what JSON has no word for: NaN, infinity, half a character.")
    return ToolSignature(name=name, description=description, parameters=parameters)
