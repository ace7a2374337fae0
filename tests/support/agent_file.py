"""An agent file as the reference server writes it: two agents that share a block, tools with source, rules, a history."""

from typing import Any

Json = dict[str, Any]

SOURCE = '''
def weather_in(city: str) -> str:
    """Tell the weather.

    Args:
        city (str): Where.
    """
    return f"sunny in {city}"
'''
SCHEMA = {
    "name": "weather_in",
    "description": "Tell the weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "request_heartbeat": {"type": "boolean"}},
        "required": ["city", "request_heartbeat"],
    },
}
PROMPT = "You are kind.\n### Memory\n<human>Ada</human>"


def text(words: str) -> list[Json]:
    """Content of one text."""
    return [{"type": "text", "text": words}]


def message(place: int, role: str, content: list[Json], **more: Any) -> Json:  # noqa: ANN401 - any JSON
    """A message of the file."""
    empty = dict.fromkeys(("name", "otid", "sender_id", "tool_calls", "tool_call_id", "approve", "approvals", "denial_reason"))
    head = {"type": "message", "id": f"message-{place}", "role": role, "content": content, "model": "gpt-4.1"}
    return {
        **empty,
        **head,
        "tool_returns": [],
        "created_at": f"2026-03-01T10:00:{place:02}+00:00",
        "agent_id": "agent-0",
        **more,
    }


def call(call_id: str, name: str, arguments: str) -> Json:
    """A call of a message."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def history() -> list[Json]:
    """A talk with thoughts, a call, an approval that was denied, and a picture."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    back = {"tool_call_id": "c1", "status": "success", "func_response": "sunny in Rome", "stdout": ["looked"], "stderr": []}
    return [
        message(0, "system", text(PROMPT)),
        message(1, "user", [*text("How is it in Rome?"), picture]),
        message(
            2,
            "assistant",
            [{"type": "reasoning", "is_native": True, "reasoning": "I ask.", "signature": "seal"}, *text("Let me look.")],
            tool_calls=[call("c1", "weather_in", '{"city": "Rome"}')],
        ),
        message(3, "tool", text('{"status": "OK", "message": "sunny in Rome", "time": "now"}'), tool_returns=[back]),
        message(4, "assistant", text("Sunny.")),
        message(5, "user", text('{"type": "user_message", "message": "And in Oslo?", "time": "now"}')),
        message(6, "approval", [], tool_calls=[call("c2", "weather_in", '{"city": "Oslo"}')]),
        message(
            7, "approval", [], approvals=[{"type": "approval", "tool_call_id": "c2", "approve": False, "reason": "Too cold."}]
        ),
        message(8, "tool", text('{"status": "Failed", "message": "denied", "time": "now"}'), tool_call_id="c2"),
        message(9, "assistant", text("I may not.")),
    ]


def agent(place: int = 0, **more: Any) -> Json:  # noqa: ANN401 - any JSON
    """An agent of the file."""
    config = {"model": "echo", "handle": "scripted/echo", "model_endpoint_type": "openai", "context_window": 9000}
    return {
        "id": f"agent-{place}",
        "name": f"agent {place}",
        "agent_type": "letta_v1_agent",
        "system": "You are kind.",
        "description": "A friend.",
        "metadata": {"team": "one", "size": 3},
        "tags": ["red"],
        "timezone": "Europe/Rome",
        "llm_config": {**config, "temperature": 0.5, "max_tokens": 77},
        "embedding_config": {"embedding_model": "any", "embedding_dim": 3},
        "model": None,
        "memory_blocks": [],
        "tools": [],
        "tool_ids": ["tool-0", "tool-1"],
        "block_ids": ["block-0", "block-1"],
        "tool_rules": [
            {"tool_name": "weather_in", "type": "exit_loop", "prompt_template": None},
            {"tool_name": "memory_insert", "type": "requires_approval", "prompt_template": None},
        ],
        "tool_exec_environment_variables": {"KEY": "s3cret"},
        "message_buffer_autoclear": False,
        "in_context_message_ids": [f"message-{number}" for number in range(10)],
        "messages": history(),
        **more,
    }


def agent_file(*agents: Json, **more: Any) -> Json:  # noqa: ANN401 - any JSON
    """A whole file."""
    return {
        "agents": list(agents) or [agent()],
        "groups": [],
        "blocks": [
            {"id": "block-0", "label": "human", "value": "Ada", "limit": 300, "description": "Who.", "read_only": False},
            {"id": "block-1", "label": "team", "value": "us", "limit": 5000, "read_only": True, "metadata": {"n": 1}},
        ],
        "tools": [
            {"id": "tool-0", "name": "weather_in", "tool_type": "custom", "source_type": "python", "tags": ["sky"]}
            | {"source_code": SOURCE, "json_schema": SCHEMA, "return_char_limit": 500},
            {"id": "tool-1", "name": "memory_insert", "tool_type": "letta_memory_core", "source_code": None},
        ],
        "files": [],
        "sources": [],
        "mcp_servers": [],
        "metadata": {"revision_id": "abc"},
        "created_at": "2026-03-01T10:00:00Z",
        **more,
    }
