"""Helpers of the suites: calls that wait, and what answers them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from letta_grpc.domain.approvals import ActionKind, PendingAction
from letta_grpc.domain.events import ApprovalRequested, MessageCompleted, RunFinished, StepCompleted, StepStarted
from letta_grpc.domain.ids import RunId, new_step_id
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    Decision,
    Deny,
    InputMessage,
    Message,
    ReturnsInput,
    Role,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import Run, RunSpec, RunState, waiting_reason
from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.ports.journal import Claim
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.journals.scenes import claim_with, new_start
from letta_grpc.testing.stores.world import World

DEADLINE = datetime(2031, 1, 1, tzinfo=UTC)
_ALL = PageRequest(size=1000)


def approve(call_id: str, arguments: str | None = None) -> ApprovalInput:
    """Return an input that lets a call run."""
    return decide(Approve(tool_call_id=call_id, arguments=arguments))


def deny(call_id: str, reason: str = "") -> ApprovalInput:
    """Return an input that does not let a call run."""
    return decide(Deny(tool_call_id=call_id, reason=reason))


def decide(*decisions: Decision) -> ApprovalInput:
    """Return an input of these decisions."""
    return ApprovalInput(decisions=decisions)


def give(call_id: str, text: str = "done") -> ReturnsInput:
    """Return an input of what the client's tool gave."""
    return ReturnsInput(tool_returns=(ToolReturn(tool_call_id=call_id, status=ToolReturnStatus.SUCCESS, text=text),))


async def ask(world: World, claim: Claim, *call_ids: str) -> Run:
    """Let a run end because calls of it wait: for the client those whose id begins with `client`, for approval the others."""
    step_id = new_step_id()
    calls = tuple(ToolCall(id=call_id, name="send", arguments='{"to": "ada"}') for call_id in call_ids)
    asked: Message = replace(world.new_answer(claim, ""), role=Role.APPROVAL, content=(), tool_calls=calls, step_id=step_id)
    actions = tuple(_action(call, asked) for call in calls)
    ended = replace(
        claim.run,
        state=RunState.INTERRUPTED,
        stop_reason=waiting_reason(actions),
        pending_actions=actions,
        end_time=world.time(),
    )
    await world.answer(
        claim,
        StepStarted(step_id, 0, claim.run.model),
        MessageCompleted(asked),
        StepCompleted(step_id, Usage(), Timing()),
        ApprovalRequested(actions),
        RunFinished(ended),
    )
    return ended


def _action(call: ToolCall, asked: Message) -> PendingAction:
    assert asked.step_id  # noqa: S101 - the step that asks
    return PendingAction(
        tool_call_id=call.id,
        kind=ActionKind.CLIENT_TOOL if call.id.startswith("client") else ActionKind.APPROVAL,
        name=call.name,
        arguments=call.arguments,
        message_id=asked.id,
        step_id=asked.step_id,
        expire_time=DEADLINE,
    )


async def waiting(world: World, *call_ids: str, **fields: object) -> Run:
    """Return a run of a new agent that waits for answers."""
    thread = await world.default(await world.agent())
    return await ask(world, await world.start(thread, "Send it.", **fields), *call_ids)


async def send(world: World, like: Run, *messages: InputMessage, **fields: object) -> Claim:
    """Start a run with this input in the conversation of another, under a request id of its own."""
    spec = RunSpec(messages=messages, **fields)  # type: ignore[arg-type]  # the fields that a test names
    start = new_start(world, agent_id=like.agent_id, conversation_id=like.conversation_id, spec=spec)
    return await claim_with(world, replace(start, first_step_id=new_step_id()))


async def pending_of(world: World, run_id: RunId) -> list[str]:
    """Return the calls that a run still waits for."""
    return [action.tool_call_id for action in (await world.runs.get(run_id)).pending_actions]


async def messages_of(world: World, run: Run) -> Sequence[Message]:
    """Return all messages of a run's conversation."""
    return (await world.history.list(run.conversation_id, _ALL)).items


async def newest_run(world: World, like: Run) -> Run:
    """Return the newest run of a conversation."""
    page = PageRequest(size=1, descending=True)
    return (await world.runs.list(page, RunFilter(conversation_id=like.conversation_id))).items[0]
