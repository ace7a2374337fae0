"""Rules about tools."""

from collections.abc import Iterable, Sequence
from typing import assert_never

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
from letta_grpc.transport.convert.rules import MAX_NAME, Rules
from letta_grpc.v1 import agents_pb2 as pb

_MAX_RULES = 64
_MAX_ARGUMENTS_BYTES = 65_536
# They stand in every answer that shows their agent.
_MAX_BYTES = 65_536


def tool_rule_to_pb(rule: ToolRule) -> pb.ToolRule:  # noqa: PLR0911 - one arm per rule
    """Return a rule."""
    match rule:
        case RunFirst(tool=tool, arguments=arguments):
            return pb.ToolRule(tool=tool, run_first=pb.RunFirstRule(arguments=arguments))
        case ExitLoop(tool=tool):
            return pb.ToolRule(tool=tool, exit_loop=pb.ExitLoopRule())
        case ContinueLoop(tool=tool):
            return pb.ToolRule(tool=tool, continue_loop=pb.ContinueLoopRule())
        case ConstrainChild(tool=tool, children=children, arguments=given):
            return pb.ToolRule(tool=tool, constrain_child=pb.ConstrainChildRule(children=children, arguments=given))
        case ParentLast(tool=tool, children=children):
            return pb.ToolRule(tool=tool, parent_last=pb.ParentLastRule(children=children))
        case Conditional():
            return pb.ToolRule(tool=rule.tool, conditional=_conditional_to_pb(rule))
        case MaxCount(tool=tool, limit=limit):
            return pb.ToolRule(tool=tool, max_count=pb.MaxCountRule(limit=limit))
        case RequiredBeforeExit(tool=tool):
            return pb.ToolRule(tool=tool, required_before_exit=pb.RequiredBeforeExitRule())
        case RequiresApproval(tool=tool):
            return pb.ToolRule(tool=tool, requires_approval=pb.RequiresApprovalRule())
        case _:
            assert_never(rule)


def _conditional_to_pb(rule: Conditional) -> pb.ConditionalRule:
    return pb.ConditionalRule(
        next_by_output=rule.next_by_output, default_next=rule.default, require_mapping=rule.require_mapping
    )


def tool_rules_from_pb(rules: Rules, path: str, sent: Sequence[pb.ToolRule]) -> tuple[ToolRule, ...]:
    """Return the rules of a request."""
    few = rules.at_most(path, sent, _MAX_RULES)
    if (size := sum(rule.ByteSize() for rule in few)) > _MAX_BYTES:
        rules.broken(path, f"must have at most {_MAX_BYTES} bytes in all, has {size}")
        return ()
    parsed = (_rule(rules, f"{path}[{index}]", rule) for index, rule in enumerate(few))
    return tuple(rule for rule in parsed if rule)


def _rule(rules: Rules, path: str, rule: pb.ToolRule) -> ToolRule | None:  # noqa: C901, PLR0911 - one arm per rule
    tool = rules.text(f"{path}.tool", rule.tool, MAX_NAME, required=True)
    match rule.WhichOneof("kind"):
        case "run_first":
            return RunFirst(tool=tool, arguments=_run_first_arguments(rules, path, rule.run_first))
        case "exit_loop":
            return ExitLoop(tool=tool)
        case "continue_loop":
            return ContinueLoop(tool=tool)
        case "constrain_child":
            return _constrain_child(rules, f"{path}.constrain_child", tool, rule.constrain_child)
        case "parent_last":
            return ParentLast(tool=tool, children=_names(rules, f"{path}.parent_last.children", rule.parent_last.children))
        case "conditional":
            return _conditional(rules, f"{path}.conditional", tool, rule.conditional)
        case "max_count":
            return MaxCount(tool=tool, limit=rules.at_least(f"{path}.max_count.limit", rule.max_count.limit, 1))
        case "required_before_exit":
            return RequiredBeforeExit(tool=tool)
        case "requires_approval":
            return RequiresApproval(tool=tool)
        case None:
            rules.broken(path, "must have one kind of rule")
            return None
        case other:
            assert_never(other)


def _run_first_arguments(rules: Rules, path: str, rule: pb.RunFirstRule) -> str | None:
    return (
        rules.json_object(f"{path}.run_first.arguments", rule.arguments, _MAX_ARGUMENTS_BYTES)
        if rule.HasField("arguments")
        else None
    )


def _constrain_child(rules: Rules, path: str, tool: str, rule: pb.ConstrainChildRule) -> ConstrainChild:
    given = {
        name: rules.json_object(f"{path}.arguments[{name}]", text, _MAX_ARGUMENTS_BYTES)
        for name, text in rule.arguments.items()
    }
    return ConstrainChild(tool=tool, children=_names(rules, f"{path}.children", rule.children), arguments=given or None)


def _conditional(rules: Rules, path: str, tool: str, rule: pb.ConditionalRule) -> Conditional:
    if not rule.next_by_output:
        rules.broken(f"{path}.next_by_output", "must have at least one entry")
    default = rule.default_next if rule.HasField("default_next") else None
    return Conditional(
        tool=tool, next_by_output=dict(rule.next_by_output), default=default, require_mapping=rule.require_mapping
    )


def _names(rules: Rules, path: str, names: Iterable[str]) -> tuple[str, ...]:
    parsed = tuple(rules.text(f"{path}[{index}]", name, MAX_NAME, required=True) for index, name in enumerate(names))
    if not parsed:
        rules.broken(path, "must have at least one")
    return parsed
