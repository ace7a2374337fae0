"""Running the tool calls of one step: side by side those that may, then the others one after the other."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import NamedTuple

from letta_grpc.domain.agents import AgentKind
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.errors import ConcurrentChange
from letta_grpc.domain.events import ToolExecutionStarted
from letta_grpc.domain.memgpt import SILENT, as_run, says_something
from letta_grpc.domain.messages import ToolCall, ToolReturn, ToolReturnStatus
from letta_grpc.domain.return_limits import cut_return, share_of
from letta_grpc.engine.children import Children
from letta_grpc.engine.record import RunRecord
from letta_grpc.engine.tool_output import LiveOutput
from letta_grpc.engine.toolbox import Toolbox
from letta_grpc.engine.turn import StepCalls, Turn, step_calls
from letta_grpc.ports.tools import ToolContext, ToolResult, Tools
from letta_grpc.ports.tracing import Tracing

# Others edit the same block at the same time: each round at least one of them gets through.
_MAX_CONFLICTS = 50

_LOST = "Error: the server stopped while this tool ran. It may have had its effect; it was not run again."
_SHADOWED = "Error: this tool is the client's to run by now; the server did not run it."
_CONFLICT = "Error: others keep changing the same memory block. Try again later."


class _Runnable(NamedTuple):
    """A call that is to run."""

    call: ToolCall
    tool: ToolDefinition


class ToolCalls:
    """Runs tools and records their returns."""

    def __init__(self, tools: Tools, children: Children, tracing: Tracing) -> None:
        self._children = children
        self._tools = tools
        self._tracing = tracing

    async def run_all(self, record: RunRecord, turn: Turn) -> StepCalls:
        """Give every call that is due its return, as each is ready, then add the tool message; return what the calls were.

        A call that an earlier attempt had begun is answered with an error, unless its tool is idempotent. Tools that may not
        run beside others come after those that may, one by one. Where a rule may depend on the order of the calls all run one
        after the other, and each is looked at when its turn comes.
        """
        calls = record.progress.open_calls
        # Also of those that returned to an earlier attempt: they stand in the same message.
        limit = share_of(len(record.progress.due))
        for group in [[call] for call in calls] if turn.toolbox.policy.in_order else [calls]:
            await self._run_group(record, turn, group, limit)
        step = step_calls(record, turn)
        record.add_tool_message()
        return step

    async def _run_group(self, record: RunRecord, turn: Turn, calls: Sequence[ToolCall], limit: int) -> None:
        runnable = []
        for call in calls:
            if returned := _without_running(record, turn, call):
                await record.write_return(returned, ())
            else:
                runnable.append(_Runnable(call, turn.toolbox.definitions[call.name]))
        if runnable:
            # Apart from the starts: those the journal refuses once the run is being cancelled, the answer it never does.
            record.write_soon()
        together = [each for each in runnable if each.tool.parallel]
        for batch in (together, *([each] for each in runnable if not each.tool.parallel)):
            if batch:
                await record.write(*(ToolExecutionStarted(each.call.id) for each in batch))
                await _side_by_side(*(self._run(record, each, turn.toolbox, limit) for each in batch))

    async def _run(self, record: RunRecord, runnable: _Runnable, toolbox: Toolbox, limit: int) -> None:
        run, (call, definition) = record.run, runnable
        context = ToolContext(
            agent_id=run.agent_id,
            conversation_id=run.conversation_id,
            run_id=run.id,
            secrets=toolbox.secrets,
            children=self._children.of(record, call),
        )
        with self._tracing.tool_call(call) as span:
            for _ in range(_MAX_CONFLICTS):
                result = await self._result(record, call, context, toolbox)
                try:
                    returned = cut_return(_returned(call, result), min(limit, definition.return_char_limit), limit)
                    await record.write_return(returned, result.changes)
                except ConcurrentChange:
                    continue  # What the tool saw is no longer so: it looks again.
                if result.status is ToolReturnStatus.ERROR:
                    span.fail("TOOL_ERROR")
                return
            span.fail("TOOL_ERROR")
            await record.write_return(_error(call, _CONFLICT), ())

    async def _result(self, record: RunRecord, call: ToolCall, context: ToolContext, toolbox: Toolbox) -> ToolResult:
        if toolbox.speaks(call.name):
            # What it says was heard while the model wrote it.
            if says_something(call, record.progress.assistant):
                return ToolResult(status=ToolReturnStatus.SUCCESS, text="")
            return ToolResult(status=ToolReturnStatus.ERROR, text=SILENT)
        if toolbox.kind is AgentKind.MEMGPT:
            call = as_run(call)
        output = LiveOutput(record, call.id)
        try:
            return await self._tools.run(call, context, output)
        finally:
            # Also of a tool that was cancelled: what it wrote is shown, and all of it before its return.
            output.close()


def _without_running(record: RunRecord, turn: Turn, call: ToolCall) -> ToolReturn | None:
    """Return the return of a call that is not run, None for one that is to run."""
    toolbox, definition = turn.toolbox, turn.toolbox.definitions.get(call.name)
    if record.batch and (given := record.batch.given_return(call.id)):
        return given
    if definition is None:
        return _error(call, _not_attached(call, toolbox))
    if record.progress.begun[call.id] and not definition.idempotent:
        return _error(call, _LOST)
    if refusal := turn.refusal(record, call):
        return _error(call, refusal)
    if call.name in toolbox.client_tools:
        # It was approved as the server's; the answer brought a tool of the client's by its name.
        return _error(call, _SHADOWED)
    return None


def _error(call: ToolCall, text: str) -> ToolReturn:
    return ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.ERROR, text=text)


def _not_attached(call: ToolCall, toolbox: Toolbox) -> str:
    names = ", ".join(toolbox.definitions) or "none"
    return f"Error: there is no tool {call.name!r}. The tools are: {names}."


def _returned(call: ToolCall, result: ToolResult) -> ToolReturn:
    return ToolReturn(
        tool_call_id=call.id,
        status=result.status,
        text=result.text,
        content=result.content,
        stdout=result.stdout,
        stderr=result.stderr,
    )


async def _side_by_side(*runs: Coroutine[object, object, None]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(run)
    except BaseExceptionGroup as failures:
        # Tools do not raise: what comes here is the journal's, and all of it means that this run cannot go on here.
        raise failures.exceptions[0] from failures
