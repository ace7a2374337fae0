"""What every Sandbox promises."""
# ruff: noqa: S101, S105, PLR2004, E501 - assert is what a contract does, and expected values are what it is about, tools are one text

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from letta_grpc.domain.errors import ToolSourceInvalid
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import OutputStream, PythonSource
from letta_grpc.ports.sandbox import Sandbox, SandboxCall
from letta_grpc.ports.tools import ToolResult

# Far beyond what anything takes: it only ends a test that would hang.
PATIENCE_SECONDS = 30

ADD = '''
def add(left: int, right: int = 2) -> int:
    """Add two numbers.

    Both are whole.

    Args:
        left: The first one.
        right: The second one.

    Returns:
        Their sum.

    Example:
        add(1, 2)

    Never call it twice.
    """
    return left + right
'''
RICH = """
import enum
from dataclasses import dataclass
from typing import Literal, Optional, TypedDict

from pydantic import BaseModel

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Point(BaseModel):
    x: int
    y: int = 0

@dataclass
class Size:
    width: float

class Tag(TypedDict):
    key: str

def _hidden(secret) -> None: ...

def draw(colour: Colour, at: list[Point], size: Size, tags: dict[str, Tag], mode: Literal["fast", "slow"] = "fast",
         label: Optional[str] = None) -> list:
    return [type(colour).__name__, at[0].x + at[0].y, size.width, tags["a"]["key"], mode, label]
"""
INVALID_SOURCES = {
    "def broken(:": "line 1",
    "x = 1": "no public function",
    "def _private() -> None: ...": "no public function",
    "def tool(bare): ...": "parameter bare",
    "def tool(*many: int): ...": "parameter many",
    "def tool(**named: int): ...": "parameter named",
    "def tool(odd: 'Missing'): ...": "parameter odd",
    "class Own: ...\ndef tool(own: Own): ...": "parameter own",
    "import no_such_module\ndef tool(): ...": "no_such_module",
    "raise ValueError('at import')\ndef tool(): ...": "at import",
    "def tool():\n    'Half \\ud800 a pair.'": "no word",
    "import os\nos._exit(3)\ndef tool(): ...": "exit code 3",
}
# Heads of functions that take an x, and what else of theirs must be None.
UNHINTED = {
    "x": "None",
    "x: 'Missing'": "None",
    "x: 1 / 2 = 0": "None",
    "x, /": "None",
    "x: dict, own: Own = None": "own",
    "x: list['Missing'] | dict": "None",
    "x: dict, agent_state: 'AgentState'": "agent_state",
    "self, x: dict": "self",
    "self, /, x": "self",
}
UNFITTING = {
    "{": "JSON",
    "[]": "object",
    "null": "object",
    "[" * 100_000: "JSON",
    "{}": "left",
    '{"left": "many"}': "left",
    '{"left": 1, "no_such": 2}': "no_such",
    '{"left": "\ud800"}': "JSON",
}


def returning(expression: str) -> str:
    """Return the source of a tool without parameters that returns an expression's value."""
    return f"def tool():\n    return {expression}\n"


async def run(sandbox: Sandbox, code: str, arguments: str = "{}", name: str = "tool", **source: Any) -> ToolResult:  # noqa: ANN401 - fields
    """Run a tool without looking at its output."""
    environment = source.pop("environment", {})
    call = SandboxCall(source=PythonSource(code=code, **source), name=name, arguments=arguments, environment=environment)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await sandbox.run(call, lambda _stream, _text: None)


async def value_of(sandbox: Sandbox, code: str, arguments: str = "{}", name: str = "tool", **source: Any) -> str:  # noqa: ANN401 - fields
    """Run a tool that must succeed."""
    result = await run(sandbox, code, arguments, name, **source)
    assert result.status is ToolReturnStatus.SUCCESS, result.text
    return result.text


class SandboxContract:
    """What a Sandbox promises. A subclass gives the fixture `sandbox`."""

    async def test_a_source_is_described_by_its_signature_and_docstring(self, sandbox: Sandbox) -> None:
        """Defaults are optional. Of the docstring all is told but what stands in the schema and what the model will see."""
        signature = await sandbox.describe(ADD)
        told = "Add two numbers.\n\nBoth are whole.\n\nExample:\n    add(1, 2)\n\nNever call it twice."
        assert (signature.name, signature.description) == ("add", told)
        schema = json.loads(signature.parameters)
        assert schema["type"] == "object"
        assert schema["properties"] == {
            "left": {"type": "integer", "description": "The first one."},
            "right": {"type": "integer", "description": "The second one.", "default": 2},
        }
        assert schema["required"] == ["left"]

    async def test_rich_types_are_described_and_arrive_as_what_the_hints_say(self, sandbox: Sandbox) -> None:
        """Enums, models, dataclasses, typed dicts, literals and options."""
        schema = json.loads((await sandbox.describe(RICH)).parameters)
        assert schema["required"] == ["colour", "at", "size", "tags"]
        assert schema["$defs"]["Colour"]["enum"] == ["red", "blue"]
        assert schema["$defs"]["Point"]["required"] == ["x"]
        assert schema["properties"]["mode"]["enum"] == ["fast", "slow"]
        arguments = {"colour": "blue", "at": [{"x": 4}], "size": {"width": 1}, "tags": {"a": {"key": "k"}}}
        text = await value_of(sandbox, RICH, json.dumps(arguments), "draw")
        assert json.loads(text) == ["Colour", 4, 1.0, "k", "fast", None]

    async def test_defaults_that_json_has_no_word_for_are_left_out(self, sandbox: Sandbox) -> None:
        """Python would write them in a way that no other reader of JSON takes."""
        code = "from math import inf, nan\ndef tool(x: float = nan, y: float = -inf, z: str = '\\ud800'):\n    return repr([x, y])\n"
        schema = json.loads((await sandbox.describe(code)).parameters)
        assert [list(field) for field in schema["properties"].values()] == [["type"]] * 3
        assert await value_of(sandbox, code) == "[nan, -inf]"

    async def test_a_default_of_none_may_be_given_whatever_the_hint_says(self, sandbox: Sandbox) -> None:
        """The schema says so: models like to name what they leave out."""
        code = "def tool(x: int = None, y: 'list[str]' = None):\n    return [x, y]\n"
        schema = json.loads((await sandbox.describe(code)).parameters)
        assert schema["properties"]["x"] == {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}
        assert await value_of(sandbox, code, '{"x": null, "y": null}') == "[null,null]"

    async def test_a_tool_without_parameters_takes_an_empty_object(self, sandbox: Sandbox) -> None:
        """Or no text at all, as models write it."""
        schema = json.loads((await sandbox.describe(returning("1"))).parameters)
        assert (schema["type"], schema["properties"]) == ("object", {})
        assert await value_of(sandbox, returning("1"), "") == "1"

    async def test_of_several_public_functions_the_last_one_is_the_tool(self, sandbox: Sandbox) -> None:
        """Unless a call names another one."""
        code = "def first() -> str:\n    return 'first'\nasync def last() -> str:\n    return 'last'\ndef _own(): ...\n"
        assert (await sandbox.describe(code)).name == "last"
        assert await value_of(sandbox, code, name="another") == "last"
        assert await value_of(sandbox, code, name="first") == "first"

    async def test_a_name_chooses_the_function(self, sandbox: Sandbox) -> None:
        """Also where a decorator hides it."""
        code = "def hidden(function):\n    return lambda: function()\n"
        code += '@hidden\ndef first() -> str:\n    """One."""\n    return "first"\ndef last() -> None: ...\n'
        assert (await sandbox.describe(code, name="first")).name == "first"
        assert (await sandbox.describe(code, name="another")).name == "last"
        assert await value_of(sandbox, code, name="first") == "first"

    @pytest.mark.parametrize("head", UNHINTED)
    async def test_where_a_schema_is_given_hints_need_not_say_one(self, sandbox: Sandbox, head: str) -> None:
        """What has no hint that works is taken as it comes, and what nobody gives is None."""
        code = f'class Own: ...\ndef tool({head}):\n    """Do."""\n    return [x, {UNHINTED[head]}]\n'
        given = '{"type": "object", "properties": {"x": {}}}'
        signature = await sandbox.describe(code, parameters=given)
        assert (signature.name, signature.description, signature.parameters) == ("tool", "Do.", given)
        assert json.loads(await value_of(sandbox, code, '{"x": {"a": 1}}')) == [{"a": 1}, None]

    async def test_hints_that_work_are_held_to_beside_others_that_do_not(self, sandbox: Sandbox) -> None:
        """Of the same function."""
        code = "class Own: ...\ndef tool(x: int, y, own: Own = None):\n    return [x, y]\n"
        assert await value_of(sandbox, code, '{"x": "1", "y": "1"}') == '[1,"1"]'
        refused = await run(sandbox, code, '{"x": "many", "y": 1}')
        assert (refused.status, "x: " in refused.text) == (ToolReturnStatus.ERROR, True)
        assert "y" in (await run(sandbox, code, '{"x": 1}')).text

    async def test_any_names_are_taken_where_the_function_takes_them(self, sandbox: Sandbox) -> None:
        """They come by the schema that was given."""
        code = "def tool(*many, **named):\n    return [many, named]\n"
        await sandbox.describe(code, parameters="{}")
        assert await value_of(sandbox, code, '{"x": 1, "many": 2}') == '[[],{"x":1,"many":2}]'

    async def test_a_parameter_that_is_never_the_models_is_none_and_not_described(self, sandbox: Sandbox) -> None:
        """Whatever its hint says, or a default that it has."""
        code = "def tool(self, x: str, agent_state: 'State'):\n    return [self, x, agent_state]\n"
        schema = json.loads((await sandbox.describe(code)).parameters)
        assert (list(schema["properties"]), schema["required"]) == (["x"], ["x"])
        assert await value_of(sandbox, code, '{"x": "a"}') == '[null,"a",null]'
        optional = "def tool(agent_state: dict | None = None):\n    return agent_state\n"
        assert json.loads((await sandbox.describe(optional)).parameters)["properties"] == {}
        assert await value_of(sandbox, optional, "{}") == "null"

    @pytest.mark.parametrize("code", INVALID_SOURCES, ids=lambda code: code[:30])
    async def test_a_source_that_defines_no_tool_is_refused_with_the_reason(self, sandbox: Sandbox, code: str) -> None:
        """Naming the line or the parameter."""
        with pytest.raises(ToolSourceInvalid) as raised:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await sandbox.describe(code)
        assert INVALID_SOURCES[code] in raised.value.message

    @pytest.mark.parametrize("arguments", UNFITTING, ids=lambda text: ascii(text[:20]))
    async def test_arguments_that_do_not_fit_are_an_error_that_says_which(self, sandbox: Sandbox, arguments: str) -> None:
        """The tool is not called."""
        result = await run(sandbox, ADD, arguments, "add")
        assert result.status is ToolReturnStatus.ERROR
        assert UNFITTING[arguments] in result.text
        assert len(result.text) < 1000

    @pytest.mark.parametrize(
        ("expression", "text"),
        [
            ("'grün \\x00 ☃'", "grün \x00 ☃"),
            ("{'a': [1, 2.5, None, True]}", '{"a":[1,2.5,null,true]}'),
            ("None", "null"),
            ("(1, 2)", "[1,2]"),
            ("__import__('datetime').date(2030, 1, 2)", '"2030-01-02"'),
            ("1j", '"1j"'),
            ("object", "<class 'object'>"),
        ],
    )
    async def test_what_a_tool_returns_becomes_text(self, sandbox: Sandbox, expression: str, text: str) -> None:
        """A text as it is, JSON otherwise, and what Python shows where JSON has no word."""
        assert await value_of(sandbox, returning(expression)) == text

    async def test_an_exception_is_an_error_with_the_lines_of_the_tool_alone(self, sandbox: Sandbox) -> None:
        """Nothing of the sandbox or the server is in it."""
        code = "def tool():\n    inner()\n\ndef inner_():\n    pass\n\ndef _divide():\n    return 1 / 0\n\ninner = _divide\n"
        result = await run(sandbox, code)
        assert result.status is ToolReturnStatus.ERROR
        assert result.text.splitlines()[-1] == "ZeroDivisionError: division by zero"
        assert 'File "tool.py", line 8, in _divide' in result.text
        assert result.text.count("File ") == 2

    @pytest.mark.parametrize("failure", ["KeyboardInterrupt()", "SystemExit(0)", "BaseException('x')", "MemoryError()"])
    async def test_whatever_is_raised_is_an_error(self, sandbox: Sandbox, failure: str) -> None:
        """Never an exception of the port's."""
        result = await run(sandbox, f"def tool():\n    raise {failure}\n")
        assert result.status is ToolReturnStatus.ERROR
        assert failure.split("(", maxsplit=1)[0] in result.text

    async def test_output_is_seen_while_the_tool_runs(self, sandbox: Sandbox) -> None:
        """Also what its children write, and what goes past Python. The tool goes on only when its first line was seen."""
        code = (
            "import os, sys, time\n"
            "def tool():\n    print('from python: ü')\n    os.write(2, b'past python\\n')\n    os.system('echo from a child')\n"
            "    time.sleep(1000)\n"
        )
        seen: dict[OutputStream, str] = dict.fromkeys(OutputStream, "")
        all_there = asyncio.Event()

        def look(stream: OutputStream, text: str) -> None:
            seen[stream] += text
            if seen == expected:
                all_there.set()

        expected = {OutputStream.STDOUT: "from python: ü\nfrom a child\n", OutputStream.STDERR: "past python\n"}
        call = SandboxCall(source=PythonSource(code=code), name="tool", arguments="{}")
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            task = group.create_task(sandbox.run(call, look))
            await all_there.wait()
            task.cancel()

    async def test_output_is_in_the_result_by_lines(self, sandbox: Sandbox) -> None:
        """All of it, also what came last, without an end of line."""
        code = "import sys\ndef tool():\n    print('a')\n    print('b', end='')\n    sys.stderr.write('c')\n"
        result = await run(sandbox, code)
        assert (result.stdout, result.stderr) == (("a", "b"), ("c",))

    async def test_a_tool_sees_the_declared_environment_and_none_of_the_servers(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither of the next call's."""
        monkeypatch.setenv("SERVER_KEY", "of the server")
        code = "import os, json\ndef tool():\n    return json.dumps(dict(os.environ))\n"
        seen = json.loads(await value_of(sandbox, code, environment={"TOKEN": "of the tool"}))
        assert seen["TOKEN"] == "of the tool"
        assert seen["HOME"]
        assert "SERVER_KEY" not in seen
        assert "TOKEN" not in json.loads(await value_of(sandbox, code))

    async def test_a_tool_has_a_folder_of_its_own_that_nobody_finds_later(self, sandbox: Sandbox) -> None:
        """It begins empty, as the current folder and as the home."""
        code = "import os\ndef tool():\n    found = os.listdir()\n    open(os.environ['HOME'] + '/left', 'w').write('x')\n    return found\n"
        assert await value_of(sandbox, code) == "[]"
        assert await value_of(sandbox, code) == "[]"

    async def test_nothing_of_a_call_is_there_in_the_next_one(self, sandbox: Sandbox) -> None:
        """No process runs two tools."""
        code = "import builtins\ndef tool():\n    before = getattr(builtins, 'left', 0)\n    builtins.left = 1\n    return before\n"
        assert [await value_of(sandbox, code) for _ in range(3)] == ["0", "0", "0"]

    async def test_a_timeout_is_an_error_that_names_it(self, sandbox: Sandbox) -> None:
        """What was written before stays in the result."""
        code = "import time\ndef tool():\n    print('begun')\n    time.sleep(1000)\n"
        result = await run(sandbox, code, timeout_seconds=0.5)
        assert result.status is ToolReturnStatus.ERROR
        assert "timeout of 0.5 s" in result.text
        assert result.stdout == ("begun",)

    async def test_calls_run_side_by_side(self, sandbox: Sandbox) -> None:
        """Each gets its own result and its own output."""
        code = "def tool(number: int) -> int:\n    print(number)\n    return number\n"
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(sandbox, code, f'{{"number": {number}}}')) for number in range(12)]
        assert [(task.result().text, task.result().stdout) for task in tasks] == [(str(n), (str(n),)) for n in range(12)]

    async def test_cancelling_the_caller_ends_the_tool_within_a_second(self, sandbox: Sandbox) -> None:
        """Whatever it ignores."""
        code = (
            "import os, signal, time\ndef tool():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    os.fork()\n    print('begun')\n"
            "    while True:\n        try:\n            time.sleep(1000)\n        except BaseException:\n            pass\n"
        )
        begun = asyncio.Event()
        call = SandboxCall(source=PythonSource(code=code), name="tool", arguments="{}")
        look: Callable[[OutputStream, str], None] = lambda _stream, _text: begun.set()  # noqa: E731 - shorter than a def
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            task = group.create_task(sandbox.run(call, look))
            await begun.wait()
            before = asyncio.get_running_loop().time()
            task.cancel()
            await asyncio.wait([task])
            assert asyncio.get_running_loop().time() - before < 1
        assert task.cancelled()
