"""Tool rules, in both directions.

That calls of a tool wait for approval is one of them on this wire; in the contract the agent's own word on the tool says it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import orjson

from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.fields import Body, filled, mapping, objects, required_text, strings
from letta_grpc.gateway.faces.letta.stored_json import told_json
from letta_grpc.v1 import agents_pb2

APPROVAL = "requires_approval"
# A rule's type here, and its case in the contract.
_CASES: Mapping[str, str] = {
    "run_first": "run_first",
    "exit_loop": "exit_loop",
    "continue_loop": "continue_loop",
    "constrain_child_tools": "constrain_child",
    "parent_last_tool": "parent_last",
    "conditional": "conditional",
    "max_count_per_step": "max_count",
    "required_before_exit": "required_before_exit",
}
_TYPES = {case: kind for kind, case in _CASES.items()} | {APPROVAL: APPROVAL}


def rules_of(body: Body) -> list[agents_pb2.ToolRule]:
    """Return the rules of a body, but for those about approval. Raises Failure."""
    rules = ((_type_of(rule), rule) for rule in objects(body, "tool_rules"))
    return [_rule(kind, rule) for kind, rule in rules if kind != APPROVAL]


def approvals_of(body: Body) -> dict[str, bool]:
    """Return the tools whose calls wait for approval by the rules of a body. Raises Failure."""
    return {required_text(rule, "tool_name"): True for rule in objects(body, "tool_rules") if _type_of(rule) == APPROVAL}


def _type_of(rule: Body) -> str:
    given = rule.get("type")
    if given is None:
        # Three kinds can be told by what they hold.
        known = {
            "child_output_mapping": "conditional",
            "max_count_limit": "max_count_per_step",
            "children": "constrain_child_tools",
        }
        given = next((kind for field, kind in known.items() if field in rule), None)
    if not isinstance(given, str) or (given not in _CASES and given != APPROVAL):
        raise unprocessable("tool_rules", f"{given!r} is no type of rule; there are {', '.join([*_CASES, APPROVAL])}")
    return given


def _rule(kind: str, rule: Body) -> agents_pb2.ToolRule:
    return filled(agents_pb2.ToolRule(), {"tool": required_text(rule, "tool_name"), _CASES[kind]: _content(kind, rule)})


def _content(kind: str, rule: Body) -> Body:
    match kind:
        case "run_first":
            return {"arguments": _json(rule["args"])} if rule.get("args") else {}
        case "constrain_child_tools":
            nodes = {required_text(node, "name"): _json(mapping(node, "args")) for node in objects(rule, "child_arg_nodes")}
            return {"children": strings(rule, "children"), "arguments": nodes}
        case "parent_last_tool":
            return {"children": strings(rule, "children")}
        case "conditional":
            outputs = {str(output): child for output, child in mapping(rule, "child_output_mapping").items()}
            content: dict[str, Any] = {"next_by_output": outputs, "require_mapping": bool(rule.get("require_output_mapping"))}
            return content | ({"default_next": rule["default_child"]} if rule.get("default_child") else {})
        case "max_count_per_step":
            return {"limit": rule.get("max_count_limit")}
    return {}


def rules_json(agent: agents_pb2.Agent, guarded: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the rules of an agent, and which calls wait for approval; `guarded` are its tools that want it by themselves."""
    told = [_rule_json(rule) for rule in agent.tool_rules]
    said = {rule["tool_name"] for rule in told if rule["type"] == APPROVAL}
    approvals = {**dict.fromkeys(guarded, True), **agent.tool_approvals}
    wanted = [name for name, required in sorted(approvals.items()) if required and name not in said]
    refused = {name for name, required in agent.tool_approvals.items() if not required}
    kept = [rule for rule in told if not (rule["type"] == APPROVAL and rule["tool_name"] in refused)]
    return [*kept, *({"tool_name": name, "type": APPROVAL, "prompt_template": None} for name in wanted)]


def _rule_json(rule: agents_pb2.ToolRule) -> dict[str, Any]:
    kind = rule.WhichOneof("kind") or ""
    return {"tool_name": rule.tool, "type": _TYPES[kind], "prompt_template": None, **dict(_told(kind, rule))}


def _told(kind: str, rule: agents_pb2.ToolRule) -> Iterator[tuple[str, Any]]:
    match kind:
        case "run_first":
            yield "args", told_json(rule.run_first.arguments) if rule.run_first.HasField("arguments") else None
        case "constrain_child":
            yield "children", list(rule.constrain_child.children)
            arguments: Sequence[tuple[str, str]] = list(rule.constrain_child.arguments.items())
            yield "child_arg_nodes", [{"name": name, "args": told_json(given)} for name, given in arguments] or None
        case "parent_last":
            yield "children", list(rule.parent_last.children)
        case "conditional":
            yield "child_output_mapping", dict(rule.conditional.next_by_output)
            yield "default_child", rule.conditional.default_next if rule.conditional.HasField("default_next") else None
            yield "require_output_mapping", rule.conditional.require_mapping
        case "max_count":
            yield "max_count_limit", rule.max_count.limit


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON
    return orjson.dumps(value).decode()
