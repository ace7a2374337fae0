"""An agent file of ours → the reference server's.

What that format has no place for stands in its `metadata`, by name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from letta_grpc.gateway.faces.letta.shapes.agents import agent_json
from letta_grpc.gateway.faces.letta.shapes.messages import SEND_MESSAGE, picture_json
from letta_grpc.gateway.faces.letta.shapes.times import timestamp_of
from letta_grpc.v1 import agent_files_pb2
from letta_grpc.v1 import messages_pb2 as pb

_ROLES = {
    pb.ROLE_USER: "user",
    pb.ROLE_SYSTEM: "system",
    pb.ROLE_ASSISTANT: "assistant",
    pb.ROLE_TOOL: "tool",
    pb.ROLE_APPROVAL: "approval",
    pb.ROLE_SUMMARY: "summary",
}
_AGENT, _PROMPT = "agent-0", "message-0"
_OF_AN_AGENT = (
    *("name", "description", "system", "agent_type", "metadata", "timezone", "tool_rules", "tags"),
    *("llm_config", "embedding_config", "model", "model_settings", "message_buffer_autoclear", "response_format"),
)
_OF_A_BLOCK = ("label", "value", "description", "limit", "read_only", "metadata", "is_template", "preserve_on_migration")


def written(
    file: agent_files_pb2.AgentFile, shown: agent_files_pb2.ConversationFile, tools: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the file with the messages of one conversation. `tools` are the agent's, as JSON."""
    told = agent_json(file.agent)
    messages = [_message(place, each) for place, each in enumerate(shown.messages, 1)]
    ids = {each.id: message["id"] for each, message in zip(shown.messages, messages, strict=True)}
    context = [ids[id_] for id_ in shown.context_message_ids] or list(ids.values())
    agent = {
        **{name: told[name] for name in _OF_AN_AGENT},
        "id": _AGENT,
        "tool_ids": [f"tool-{place}" for place in range(len(tools))],
        "block_ids": [f"block-{place}" for place in range(len(told["blocks"]))],
        "tool_exec_environment_variables": dict.fromkeys(sorted(file.agent.secrets), ""),
        "in_context_message_ids": [_PROMPT, *context],
        "messages": [_prompt(file), *messages],
        **{name: [] for name in ("memory_blocks", "tools", "source_ids", "files_agents", "group_ids")},
        **dict.fromkeys(("include_base_tools", "include_multi_agent_tools", "include_base_tool_rules"), False),
    }
    blocks = [
        {"id": f"block-{place}", **{name: block[name] for name in _OF_A_BLOCK}} for place, block in enumerate(told["blocks"])
    ]
    return {
        "agents": [agent],
        "blocks": blocks,
        "tools": [{**tool, "id": f"tool-{place}"} for place, tool in enumerate(tools)],
        **{name: [] for name in ("groups", "files", "sources", "mcp_servers")},
        "metadata": _metadata(file, shown),
        "created_at": timestamp_of(file.agent, "create_time"),
    }


def _metadata(file: agent_files_pb2.AgentFile, shown: agent_files_pb2.ConversationFile) -> dict[str, str]:
    others = len(file.conversations) - 1
    left_out = [
        *([f"{others} other conversations"] if others > 0 else []),
        *([f"{len(file.passages)} archival notes"] if file.passages else []),
        *(["the background agents"] if file.agent.sleeptime.agent_ids else []),
        *(["edited arguments of approvals"] if _has_edits(shown.messages) else []),
    ]
    whole = {"left_out": f"{', '.join(left_out)}: /api/v1/agents/{file.agent.id}:export has all"} if left_out else {}
    return {"exported_by": "letta_grpc", **whole}


def _has_edits(messages: Sequence[pb.Message]) -> bool:
    return any(decision.approve.HasField("arguments") for message in messages for decision in message.decisions)


def _prompt(file: agent_files_pb2.AgentFile) -> dict[str, Any]:
    content = [{"type": "text", "text": file.agent.system}]
    return {"type": "message", "id": _PROMPT, "role": "system", "content": content, **_nothing(file.agent.model)}


def _nothing(model: str) -> dict[str, Any]:
    empty = (
        "name",
        "otid",
        "sender_id",
        "group_id",
        "tool_calls",
        "tool_call_id",
        "approve",
        "approval_request_id",
        "approvals",
    )
    return {"agent_id": _AGENT, "model": model or None, **dict.fromkeys(empty), "tool_returns": [], "created_at": None}


def _message(place: int, message: pb.Message) -> dict[str, Any]:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    returns = [_return(each) for each in message.tool_returns]
    is_answer = message.role == pb.ROLE_APPROVAL and not message.tool_calls
    approvals = [*(_decision(each) for each in message.decisions), *(returns if is_answer else ())]
    said = [{"type": "text", "text": each["func_response"]} for each in returns] or [_part(part) for part in _spoken(message)]
    return {
        "type": "message",
        "id": f"message-{place}",
        "role": _ROLES[message.role],
        "content": said,
        **_nothing(message.model),
        "name": message.name or None,
        "otid": message.otid or None,
        "tool_calls": calls or None,
        "tool_call_id": returns[0]["tool_call_id"] if returns and not is_answer else None,
        "tool_returns": [] if is_answer else returns,
        "approve": approvals[0].get("approve") if approvals else None,
        "approvals": approvals or None,
        "created_at": timestamp_of(message, "create_time"),
    }


def _spoken(message: pb.Message) -> list[pb.ContentPart]:
    """Return the parts of a message, without what a call of it says."""
    speaks = any(call.name == SEND_MESSAGE for call in message.tool_calls)
    return [part for part in message.content if not (speaks and part.WhichOneof("kind") == "text")]


def _part(part: pb.ContentPart) -> dict[str, Any]:
    signature = part.signature or None
    match part.WhichOneof("kind"):
        case "reasoning":
            return {"type": "reasoning", "is_native": True, "reasoning": part.reasoning, "signature": signature}
        case "redacted_reasoning":
            return {"type": "redacted_reasoning", "data": part.redacted_reasoning}
        case "omitted_reasoning":
            return {"type": "omitted_reasoning", "signature": signature}
        case "summarized_reasoning":
            summary = [{"index": 0, "text": part.summarized_reasoning}]
            return {"type": "summarized_reasoning", "id": "", "summary": summary, "encrypted_content": signature}
        case "image":
            return picture_json(part.image)
    return {"type": "text", "text": part.text, "signature": signature}


def _return(returned: pb.ToolReturn) -> dict[str, Any]:
    parts = [part.text or orjson.dumps(_part(part)).decode() for part in returned.content.parts]
    return {
        "type": "tool",
        "tool_call_id": returned.tool_call_id,
        "status": "error" if returned.status == pb.TOOL_RETURN_STATUS_ERROR else "success",
        "func_response": returned.text or "\n".join(parts),
        "stdout": list(returned.stdout),
        "stderr": list(returned.stderr),
    }


def _decision(decision: pb.Decision) -> dict[str, Any]:
    is_approved = decision.HasField("approve")
    told = {"type": "approval", "tool_call_id": decision.tool_call_id, "approve": is_approved}
    return told | {"reason": None if is_approved else decision.deny.reason}
