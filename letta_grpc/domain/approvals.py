"""Calls that wait for an answer: from a person who approves or denies them, or from a client that runs them.

Rule: a conversation has at most one open batch, the calls of one step; while it is open nothing but answers may start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.errors import ApprovalAlreadyResolved, ApprovalExpired, ApprovalPending, InvalidRequest
from letta_grpc.domain.ids import MessageId, RunId, StepId
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    Deny,
    InputMessage,
    ReturnsInput,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
    words_in,
)
from letta_grpc.domain.return_limits import cut_return, share_of

Answer = Approve | Deny | ToolReturn


class ActionKind(IdentityEnum):
    """What a call waits for."""

    APPROVAL = "approval"
    CLIENT_TOOL = "client_tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAction:
    """A call that waits. It stands in the approval message `message_id`; at `expire_time` it is denied."""

    tool_call_id: str
    kind: ActionKind
    name: str
    arguments: str
    message_id: MessageId
    step_id: StepId
    expire_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatch:
    """The calls of one step that wait for answers, in the model's order, and the answers that have come.

    `run_id` is the run that waits: the newest of those that were interrupted because of these calls.
    """

    run_id: RunId
    actions: tuple[PendingAction, ...]
    answers: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def pending(self) -> tuple[PendingAction, ...]:
        """The calls that have no answer yet."""
        return tuple(action for action in self.actions if action.tool_call_id not in self.answers)

    def is_expired(self, now: datetime) -> bool:
        """Say whether calls have waited too long. If so, all that wait are denied, and no more answers are taken."""
        return any(action.expire_time <= now for action in self.pending)

    @property
    def step_id(self) -> StepId:
        """The step that asked for the calls."""
        return self.actions[0].step_id

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls as they are to be run: with the arguments as approved."""
        return tuple(self._call(action) for action in self.actions)

    def _call(self, action: PendingAction) -> ToolCall:
        answer = self.answers.get(action.tool_call_id)
        edited = answer.arguments if isinstance(answer, Approve) else None
        arguments = action.arguments if edited is None else edited
        return ToolCall(id=action.tool_call_id, name=action.name, arguments=arguments)

    def given_return(self, tool_call_id: str) -> ToolReturn | None:
        """Return what is known of a call without running it, its denial or what the client gave, cut to the room there is."""
        answer = self.answers.get(tool_call_id)
        if answer is None or isinstance(answer, Approve):
            return None
        returned = denied_return(tool_call_id, answer.reason) if isinstance(answer, Deny) else answer
        limit = share_of(len(self.actions))
        return cut_return(returned, limit, limit)

    def closing_returns(self, reason: str) -> tuple[ToolReturn, ...]:
        """Return one return for each call when none is to run any more: approved calls are denied like those that wait."""
        ids = (action.tool_call_id for action in self.actions)
        return tuple(self.given_return(call_id) or denied_return(call_id, reason) for call_id in ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswer:
    """An answer that a call has had, None if the server itself denied the call, and the run that brought it."""

    answer: Answer | None
    run_id: RunId


class GivenAnswer(NamedTuple):
    """An answer as a request brings it: `path` is its place there."""

    path: str
    answer: Answer


def denied_return(tool_call_id: str, reason: str) -> ToolReturn:
    """Return what the model is told of a call that was denied."""
    because = f" User reason: {reason}" if reason else ""
    text = f"Error: request to call tool denied.{because}"
    return ToolReturn(tool_call_id=tool_call_id, status=ToolReturnStatus.ERROR, text=text)


def answers_in(messages: Sequence[InputMessage]) -> dict[str, GivenAnswer]:
    """Return the answers of an input by tool call."""
    answers: dict[str, GivenAnswer] = {}
    for index, message in enumerate(messages):
        match message:
            case ApprovalInput(decisions=decisions):
                for place, decision in enumerate(decisions):
                    path = f"run.messages[{index}].approval.decisions[{place}]"
                    answers[decision.tool_call_id] = GivenAnswer(path, decision)
            case ReturnsInput(tool_returns=returns):
                for place, returned in enumerate(returns):
                    path = f"run.messages[{index}].tool_returns.returns[{place}]"
                    answers[returned.tool_call_id] = GivenAnswer(path, returned)
            case _:
                pass
    return answers


def settle(
    messages: Sequence[InputMessage], batch: OpenBatch | None, known: Mapping[str, KnownAnswer], now: datetime
) -> OpenBatch | RunId:
    """Return the batch with these answers added, or, if they were all given before, the run that the last of them made.

    `known` are the answers that calls of the conversation have had. Raises InvalidRequest for an id that is neither open nor
    known and for an answer of the wrong kind, ApprovalExpired, ApprovalAlreadyResolved; where words follow the answers also
    ApprovalPending, if calls are left open, and ApprovalAlreadyResolved, if only some of the answers are new.
    """
    answers = answers_in(messages)
    words = words_in(messages)
    open_actions = {action.tool_call_id: action for action in batch.pending} if batch else {}
    repeated = _repeated(answers, open_actions, known)
    if batch is None or len(repeated) == len(answers):
        return repeated[-1]
    if words and repeated:
        call_id = next(call_id for call_id in answers if call_id not in open_actions)
        raise ApprovalAlreadyResolved(tool_call_id=call_id, run_id=repeated[0])
    fresh = {call_id: given.answer for call_id, given in answers.items() if call_id in open_actions}
    if batch.is_expired(now):
        # The server denies them when it next looks; whether an answer is late is not to depend on when that is.
        raise ApprovalExpired(tool_call_id=next(iter(fresh)), run_id=batch.run_id)
    _check_kinds(answers, open_actions)
    settled = replace(batch, answers={**batch.answers, **fresh})
    if words and settled.pending:
        # No conflict policy helps, of which the error's own words speak.
        raise pending_error(settled, "Words come with the last answers, and these calls would wait still: answer them, too.")
    return settled


def pending_error(batch: OpenBatch, message: str | None = None) -> ApprovalPending:
    """Return the error that says which calls wait."""
    call_ids = ",".join(action.tool_call_id for action in batch.pending)
    return ApprovalPending(message, run_id=batch.run_id, tool_call_ids=call_ids)


def _repeated(
    answers: Mapping[str, GivenAnswer],
    open_actions: Mapping[str, PendingAction],
    known: Mapping[str, KnownAnswer],
) -> list[RunId]:
    """Return the runs that brought the answers that were given before."""
    unknown = {
        given.path: call_id for call_id, given in answers.items() if call_id not in open_actions and call_id not in known
    }
    if unknown:
        waiting = ", ".join(open_actions) or "none"
        raise InvalidRequest(
            fields={
                f"{path}.tool_call_id": f"{call_id!r} waits for no answer; open are: {waiting}"
                for path, call_id in unknown.items()
            }
        )
    runs = []
    for call_id, given in answers.items():
        if call_id in open_actions:
            continue
        earlier = known[call_id]
        if earlier.answer is None:
            raise ApprovalExpired(tool_call_id=call_id, run_id=earlier.run_id)
        if earlier.answer != given.answer:
            raise ApprovalAlreadyResolved(tool_call_id=call_id, run_id=earlier.run_id)
        runs.append(earlier.run_id)
    return runs


def _check_kinds(answers: Mapping[str, GivenAnswer], open_actions: Mapping[str, PendingAction]) -> None:
    broken = {}
    for call_id, action in open_actions.items():
        if call_id not in answers:
            continue
        path, answer = answers[call_id]
        if isinstance(answer, Approve) and action.kind is ActionKind.CLIENT_TOOL:
            broken[path] = f"{action.name} is the client's to run: send its return, or deny it"
        if isinstance(answer, ToolReturn) and action.kind is ActionKind.APPROVAL:
            broken[path] = f"{action.name} is the server's to run: approve or deny it"
    if broken:
        raise InvalidRequest(fields=broken)
