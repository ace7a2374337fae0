"""The calls of a turn, as its messages tell them.

A turn is a run that somebody's words began, with the runs that answer its open calls. A call was *made* if it was run,
whatever came of it; one that broke a rule or was denied was not made.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from letta_grpc.domain.ids import StepId
from letta_grpc.domain.messages import Deny, Message, Role, ToolReturn, ToolReturnStatus

# How the return of a call that broke a rule begins. Rule: no other return begins so, or a tool could hide its own call.
REFUSAL = "[ToolConstraintError]"
# How the message begins that asks for calls which are owed.
DEMAND = "[ToolRuleViolated]"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCall:
    """A call of this turn. `output` is what it returned, None while that is not known.

    A call that was `denied` was not made; but no rule demands it any more.
    """

    tool: str
    output: str | None = None
    step_id: StepId | None = None
    denied: bool = False


def made_in(messages: Iterable[Message], tools: Collection[str]) -> tuple[MadeCall, ...]:
    """Return the calls of these tools that were made or denied in these messages of a turn, in the order of their returns."""
    names: dict[str, str] = {}
    denied: set[str] = set()
    made = []
    for message in messages:
        names.update((call.id, call.name) for call in message.tool_calls if call.name in tools)
        denied.update(decision.tool_call_id for decision in message.decisions if isinstance(decision, Deny))
        if message.role is Role.TOOL:
            for returned in message.tool_returns:
                name = names.get(returned.tool_call_id)
                if name and not is_refusal(returned):
                    is_denied = returned.tool_call_id in denied
                    made.append(MadeCall(tool=name, output=returned.text, step_id=message.step_id, denied=is_denied))
    return tuple(made)


def refusal_text(tool: str, allowed: Iterable[str]) -> str:
    """Return what the model is told of a call that breaks a rule."""
    return f"{REFUSAL} {tool} cannot be called now. Tools that can: [{', '.join(allowed)}]"


def is_refusal(returned: ToolReturn) -> bool:
    """Say whether a return is that of a call that broke a rule."""
    return returned.status is ToolReturnStatus.ERROR and returned.text.startswith(REFUSAL)
