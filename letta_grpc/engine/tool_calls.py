"""Running the tool calls of one step, side by side."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from itertools import accumulate, takewhile

from letta_grpc.domain.errors import ConcurrentChange
from letta_grpc.domain.events import ToolExecutionStarted
from letta_grpc.domain.messages import ToolCall, ToolReturn, ToolReturnStatus
from letta_grpc.engine.record import RunRecord
from letta_grpc.ports.tools import ToolContext, ToolResult, Tools
from letta_grpc.ports.tracing import Tracing

# All returns of a step make one message, and a message must fit into one event of 2 MiB even if each character takes
# four bytes in UTF-8.
_MAX_RETURN_CHARACTERS = 400_000
# Others edit the same block at the same time: each round at least one of them gets through.
_MAX_CONFLICTS = 50

_LOST = "Error: the server stopped while this tool ran. It may have had its effect; it was not run again."
_NOT_ATTACHED = "Error: there is no tool {name!r}. The tools are: {names}."


class ToolCalls:
    """Runs tools and records their returns."""

    def __init__(self, tools: Tools, tracing: Tracing) -> None:
        self._tools = tools
        self._tracing = tracing

    async def run_all(self, record: RunRecord, allowed: Sequence[str]) -> None:
        """Give every open call of the step its return, each as it comes, then add the tool message.

        A call that an earlier attempt had begun is answered with an error, unless its tool is idempotent.
        """
        calls = record.progress.open_calls
        runnable = [call for call in calls if call.name in allowed and not self._is_lost(record, call)]
        for call in calls:
            if call not in runnable:
                await self._refuse(record, call, allowed)
        if runnable:
            # Apart from the starts: those the journal refuses once the run is being cancelled, the answer it never does.
            record.write_soon()
            await record.write(*(ToolExecutionStarted(call.id) for call in runnable))
            limit = _MAX_RETURN_CHARACTERS // len(calls)
            await _side_by_side(*(self._run(record, call, limit) for call in runnable))
        record.add_tool_message()

    def _is_lost(self, record: RunRecord, call: ToolCall) -> bool:
        definition = self._tools.find(call.name)
        return record.progress.begun[call.id] > 0 and not (definition and definition.idempotent)

    async def _refuse(self, record: RunRecord, call: ToolCall, allowed: Sequence[str]) -> None:
        text = _LOST if call.name in allowed else _NOT_ATTACHED.format(name=call.name, names=", ".join(allowed) or "none")
        await record.write_return(ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.ERROR, text=text), ())

    async def _run(self, record: RunRecord, call: ToolCall, limit: int) -> None:
        context = ToolContext(agent_id=record.run.agent_id, conversation_id=record.run.conversation_id, run_id=record.run.id)
        with self._tracing.tool_call(call) as span:
            for _ in range(_MAX_CONFLICTS):
                result = await self._tools.run(call, context)
                try:
                    await record.write_return(_returned(call, result, limit), result.changes)
                except ConcurrentChange:
                    continue  # What the tool saw is no longer so: it looks again.
                if result.status is ToolReturnStatus.ERROR:
                    span.fail("TOOL_ERROR")
                return
            span.fail("TOOL_ERROR")
            conflict = "Error: others keep changing the same memory block. Try again later."
            await record.write_return(ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.ERROR, text=conflict), ())


def _returned(call: ToolCall, result: ToolResult, limit: int) -> ToolReturn:
    """Return what fits: the text first, then the lines of both outputs as far as there is room."""
    room = max(0, limit - len(result.text))
    stdout = _cut_lines(result.stdout, room)
    room = max(0, room - _size(stdout))
    return ToolReturn(
        tool_call_id=call.id,
        status=result.status,
        text=_cut(result.text, limit),
        stdout=stdout,
        stderr=_cut_lines(result.stderr, room),
    )


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[cut: {limit} of {len(text)} characters are shown]"


def _cut_lines(lines: tuple[str, ...], room: int) -> tuple[str, ...]:
    if _size(lines) <= room:
        return lines
    shown = list(takewhile(lambda end: end <= room, accumulate(len(line) + 1 for line in lines)))
    return (*lines[: len(shown)], f"[cut: {len(shown)} of {len(lines)} lines are shown]")


def _size(lines: Iterable[str]) -> int:
    # The end of a line counts too: there can be as many lines as characters.
    return sum(len(line) + 1 for line in lines)


async def _side_by_side(*runs: Coroutine[object, object, None]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(run)
    except BaseExceptionGroup as failures:
        # Tools do not raise: what comes here is the journal's, and all of it means that this run cannot go on here.
        raise failures.exceptions[0] from failures
