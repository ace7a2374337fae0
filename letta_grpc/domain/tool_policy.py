"""What an agent's tool rules allow now, and whether they let the turn end.

A turn is a run that somebody's words began, with the runs that answer its open calls. Rules see the calls that were *made* in
it: those that were run, whatever came of it. A refused or a denied call was not made; but a denied one is owed no longer. A
rule about a tool that the agent does not have says nothing.

Rules of precedence: what restricts wins (rules about one tool apply together); what is owed wins over what ends, and what
ends over what goes on. A turn in which nothing may be called any more can always end.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Self

from letta_grpc.domain.completions import ANY_TOOL
from letta_grpc.domain.tool_rules import (
    Conditional,
    ConstrainChild,
    ContinueLoop,
    ExitLoop,
    MaxCount,
    ParentLast,
    RequiredBeforeExit,
    RequiresApproval,
    RunFirst,
    ToolRule,
)
from letta_grpc.domain.turns import DEMAND, MadeCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the model may call now. `arguments` (JSON text by tool) replace what it writes under the same names."""

    tools: tuple[str, ...]
    must_call: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def choice(self) -> str | None:
        """The tool choice of the request: the one tool, ANY_TOOL, or None where the model is free to call none."""
        if not self.must_call or not self.tools:
            return None
        return self.tools[0] if len(self.tools) == 1 else ANY_TOOL

    def narrowed(self, wanted: Collection[str]) -> Self:
        """Return the offer of those of these tools that it has, one of which must be called; itself if it has none."""
        tools = tuple(tool for tool in self.tools if tool in wanted)
        return replace(self, tools=tools, must_call=True) if tools else self


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The model is asked again."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The turn ends: `by_rule`, or because the model had nothing more to do."""

    by_rule: bool


@dataclass(frozen=True, slots=True)
class Owes:
    """The turn may not end yet: the model is told that it has to call these tools, or one of them, and is asked again."""

    tools: tuple[str, ...]
    any_of: bool = False

    @property
    def demand(self) -> str:
        """What the model is told."""
        return f"{DEMAND} You must call {(' or ' if self.any_of else ' and ').join(self.tools)} before you finish."


Verdict = GoesOn | Ends | Owes


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """An agent's rules over the tools it has in this run. Every method is pure and knows an answer for any history."""

    rules: tuple[ToolRule, ...]
    tools: tuple[str, ...]

    @property
    def in_order(self) -> bool:
        """Whether the order of calls matters to the rules. If so, the calls of one answer run one after the other."""
        return any(not isinstance(rule, RequiresApproval) for rule in self._known())

    def offer(self, made: Sequence[MadeCall]) -> Offer:
        """Return what may be called after these calls."""
        if not self.rules:
            # Nearly every agent, before every call of its model.
            return Offer(tools=self.tools)
        ran = [call for call in made if not call.denied]
        candidates = self._next_up(ran[-1]) if ran else self._first() or None
        if candidates is None:
            return Offer(tools=self._allowed(ran, self.tools))
        # Whoever denies a call that a rule demands wants the turn to do without it.
        must_call = not (made and made[-1].denied)
        return Offer(tools=self._allowed(ran, candidates), must_call=must_call, arguments=candidates)

    def within(self, made: Sequence[MadeCall], step: Sequence[MadeCall]) -> Offer:
        """Return what may be called after these calls and, in the same answer, those of `step`.

        Behind a call that ends the turn nothing may; behind one whose output says what follows, nothing until it is known.
        """
        if self._names(ExitLoop, [call.tool for call in step if not call.denied]):
            return Offer(tools=())
        return self.offer([*made, *step])

    def after(self, made: Sequence[MadeCall], last_step: Sequence[str], *, wants_more: bool) -> Verdict:
        """Say how the turn stands after a step.

        `made` includes the calls of the step, whose tools are `last_step`; `wants_more`: without any rule it would go on.
        """
        offer = self.offer(made)
        owed = self.owed(made)
        ended = self._names(ExitLoop, last_step)
        if not ended and (wants_more or self._names(ContinueLoop, last_step)):
            return GoesOn()
        if not offer.tools:
            return Ends(by_rule=ended)
        if owed:
            return Owes(owed)
        if ended:
            return Ends(by_rule=True)
        if offer.must_call:
            return GoesOn() if last_step else Owes(offer.tools, any_of=True)
        return Ends(by_rule=False)

    def owed(self, made: Sequence[MadeCall]) -> tuple[str, ...]:
        """Return the tools that must be called before the turn may end, in the order of the rules."""
        called = {call.tool for call in made}
        required = (rule.tool for rule in self._known() if isinstance(rule, RequiredBeforeExit))
        return tuple(dict.fromkeys(tool for tool in required if tool not in called))

    def _known(self) -> Iterable[ToolRule]:
        return (rule for rule in self.rules if rule.tool in self.tools)

    def _names(self, kind: type[ToolRule], tools: Collection[str]) -> bool:
        return any(isinstance(rule, kind) and rule.tool in tools for rule in self.rules)

    def _first(self) -> dict[str, str]:
        """Return the tools that a turn begins with: one of them, if there are several; each with its arguments."""
        return {rule.tool: rule.arguments or "" for rule in self._known() if isinstance(rule, RunFirst)}

    def _next_up(self, last: MadeCall) -> dict[str, str] | None:
        """Return the tools one of which has to follow, each with its arguments; None if nothing has to."""
        by_rule = (_followers(rule, last.output) for rule in self.rules if rule.tool == last.tool)
        demanded = [followers for followers in by_rule if followers is not None]
        return reduce(_in_both, demanded) if demanded else None

    def _allowed(self, made: Sequence[MadeCall], candidates: Iterable[str]) -> tuple[str, ...]:
        wanted = set(candidates)
        return tuple(tool for tool in self.tools if tool in wanted and self._may_come(tool, made))

    def _may_come(self, tool: str, made: Sequence[MadeCall]) -> bool:
        last = made[-1].tool if made else None
        parents = [rule.tool for rule in self._known() if isinstance(rule, ParentLast) and tool in rule.children]
        limits = [rule.limit for rule in self._known() if isinstance(rule, MaxCount) and rule.tool == tool]
        count = sum(call.tool == tool for call in made)
        return (not parents or last in parents) and all(count < limit for limit in limits)


def _followers(rule: ToolRule, output: str | None) -> dict[str, str] | None:
    """Return the tools one of which has to follow by one rule, each with its arguments; None if it demands nothing."""
    match rule:
        case ConstrainChild(children=children, arguments=arguments):
            given = arguments or {}
            return {child: given.get(child, "") for child in children}
        case Conditional():
            followers = rule.next_after(output)
            return None if followers is None else dict.fromkeys(followers, "")
        case _:
            return None


def _in_both(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    return {tool: first[tool] or second[tool] for tool in first if tool in second}
