"""What Tools promise."""
# ruff: noqa: S101, PLR2004 - assert is what a contract does, expected values are what it is about

import asyncio
import json

import pytest

from letta_grpc.domain.messages import ToolCall, ToolReturnStatus
from letta_grpc.domain.tools import OutputStream
from letta_grpc.ports.tools import ToolContext, ToolResult, Tools

# What models write when they go wrong. None of it may be taken for arguments, whatever the tool.
NO_ARGUMENTS = ("", "{", '{"a": ', "[]", "7", "null", '"{}"', "{} {}", '{"no_such_argument": 1}', "[" * 100_000, '"\ud800"')


def unheard(_stream: OutputStream, _text: str) -> None:
    """Take what a tool writes."""


class ToolsContract:
    """What Tools promise. A subclass gives the fixtures `tools` and `context`, which is of an agent that exists."""

    async def test_every_tool_that_a_new_agent_gets_is_described(self, tools: Tools) -> None:
        """By its own name, for the model to read."""
        assert tools.base_tools()
        for name in tools.base_tools():
            definition = (await tools.load([name]))[name]
            assert definition.name == name
            assert definition.description.strip()

    async def test_parameters_are_the_schema_of_an_object(self, tools: Tools) -> None:
        """Providers take nothing else. Every property says what it is for."""
        for name in tools.base_tools():
            definition = (await tools.load([name]))[name]
            schema = json.loads(definition.parameters)
            assert schema["type"] == "object"
            assert all(field.get("description") for field in schema["properties"].values())

    def test_names_are_not_repeated(self, tools: Tools) -> None:
        """A provider refuses two tools of one name."""
        assert len(set(tools.base_tools())) == len(tools.base_tools())

    async def test_an_unknown_tool_is_not_found(self, tools: Tools) -> None:
        """Without an exception."""
        assert not await tools.load(["no_such_tool"])

    async def test_running_an_unknown_tool_tells_which_there_are(self, tools: Tools, context: ToolContext) -> None:
        """The model can then choose one."""
        result = await tools.run(ToolCall(id="call", name="no_such_tool", arguments="{}"), context, unheard)
        assert_refused(result)
        assert all(name in result.text for name in tools.base_tools())

    @pytest.mark.parametrize("text", NO_ARGUMENTS, ids=lambda text: ascii(text[:12]))
    async def test_whatever_a_model_writes_instead_of_arguments_is_refused(
        self, tools: Tools, context: ToolContext, text: str
    ) -> None:
        """With a short text, and nothing changes."""
        for name in tools.base_tools():
            assert_refused(await tools.run(ToolCall(id="call", name=name, arguments=text), context, unheard))

    async def test_calls_run_side_by_side(self, tools: Tools, context: ToolContext) -> None:
        """Each gets its own result."""
        names = [*tools.base_tools(), "no_such_tool"] * 5
        calls = [ToolCall(id=f"call-{index}", name=name, arguments="[]") for index, name in enumerate(names)]
        async with asyncio.timeout(5):
            results = await asyncio.gather(*(tools.run(call, context, unheard) for call in calls))
        for call, result in zip(calls, results, strict=True):
            assert_refused(result)
            assert result == await tools.run(call, context, unheard)


def assert_refused(result: ToolResult) -> None:
    """The result is an error that a model can read, and has changed nothing."""
    assert result.status is ToolReturnStatus.ERROR
    assert not result.changes
    assert 0 < len(result.text) < 1000
    assert result.text.isprintable()
