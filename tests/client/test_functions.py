import json
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

import pytest

from letta_grpc.client import AsyncClient, client_tool, python_source
from letta_grpc.client.functions import ArgumentsInvalid, Function, bound, by_name, parameters_of

if TYPE_CHECKING:
    from decimal import Decimal


def weather(city: str, days: int = 1, unit: Literal["C", "F"] = "C", where: list[str] | None = None) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"{city} {days} {unit} {where}"


def test_a_function_is_described_by_its_name_its_docstring_and_its_annotations() -> None:
    tool = client_tool(weather)
    assert tool.name == "weather"
    assert tool.description == "Tell the weather.\n\nArgs:\n    city: Where."
    assert json.loads(tool.parameters) == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "default": 1},
            "unit": {"enum": ["C", "F"], "default": "C"},
            "where": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_what_is_not_annotated_takes_anything() -> None:
    def free(what, counts: dict[str, float], more: Any = None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ANN401, ARG001 - the point of it
        return what

    schema = parameters_of(free)
    assert schema["properties"] == {
        "what": {},
        "counts": {"type": "object", "additionalProperties": {"type": "number"}},
        "more": {},
    }
    assert schema["required"] == ["what", "counts"]


class Item(TypedDict):
    sku: str
    count: NotRequired[int]


def test_what_json_has_may_be_called_by_other_names() -> None:
    def order(items: Sequence[Item], tags: Iterable[str], notes: Mapping[str, int], rest: Sequence, what: object) -> None:  # type: ignore[type-arg]  # the point of it
        raise NotImplementedError(items, tags, notes, rest, what)

    item = {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["sku"],
        "additionalProperties": False,
    }
    assert parameters_of(order)["properties"] == {
        "items": {"type": "array", "items": item},
        "tags": {"type": "array", "items": {"type": "string"}},
        "notes": {"type": "object", "additionalProperties": {"type": "integer"}},
        "rest": {"type": "array"},
        "what": {},
    }


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def test_a_list_of_old_may_say_nothing_of_what_it_holds() -> None:
    def take(it: typing.List) -> None:  # type: ignore[type-arg]  # noqa: UP006 - as it was written once
        raise NotImplementedError(it)

    assert parameters_of(take)["properties"] == {"it": {"type": "array"}}


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("hint", "instead"),
    [
        (Color, "a Literal of its values"),
        (tuple[int, int], "a list"),
        (frozenset, "a list"),
        (list[Point], "a TypedDict"),
        (date | None, "a str"),
        (dict[int, str], "what JSON has"),
        (Callable[[], int], "what JSON has"),
    ],
)
def test_what_json_has_not_is_refused_with_what_to_write_instead(hint: Any, instead: str) -> None:  # noqa: ANN401 - any
    def take(it):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - below
        return it

    take.__annotations__["it"] = hint
    with pytest.raises(TypeError, match="take: it: JSON Schema has no word for ") as refused:
        client_tool(take)
    assert str(refused.value).endswith(f" Take {instead}, and make it of that.")


class Branch(TypedDict):
    twigs: "list[Branch]"


class Named(TypedDict):
    said: "OfNowhere"  # type: ignore[name-defined]  # noqa: F821 - the point of it


@pytest.mark.parametrize(
    ("hint", "why"),
    [
        (Literal[Color.RED], "JSON Schema has no word for <Color.RED: 'red'>. Take a Literal of its values"),
        (list[Literal[b"red"]], "JSON Schema has no word for b'red'. Take a str"),
        (Branch, "<class 'tests.client.test_functions.Branch'> holds itself. Take a dict where it does"),
        ("OfNowhere", "name 'OfNowhere' is not defined. Define it, or import it, outside of functions"),
        (list[Named], "name 'OfNowhere' is not defined. Define it, or import it, outside of functions"),
    ],
)
def test_what_has_no_schema_is_refused_by_function_and_parameter(hint: Any, why: str) -> None:  # noqa: ANN401 - any
    def take(it):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - below
        return it

    take.__annotations__["it"] = hint
    with pytest.raises(TypeError) as refused:
        client_tool(take)
    assert str(refused.value).startswith("take: it: ")
    assert why in str(refused.value)


def test_a_default_that_json_has_no_word_for_is_not_told() -> None:
    def take(share: float = float("nan"), most: float = float("inf")) -> float:
        return min(share, most)

    told = parameters_of(take)
    assert told["properties"] == {"share": {"type": "number"}, "most": {"type": "number"}}
    assert told["required"] == []


def takes_any_number(*numbers: int) -> int:
    return sum(numbers)


@pytest.mark.parametrize(("function", "why"), [(takes_any_number, "by name")])
def test_what_no_model_can_call_is_refused(function: Function, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        client_tool(function)


def price(sku: "str", count: "int" = 1) -> "Decimal":
    """Tell the price."""
    raise NotImplementedError(sku, count)


def test_what_a_function_returns_may_be_known_to_type_checkers_alone() -> None:
    assert parameters_of(price)["properties"] == {"sku": {"type": "string"}, "count": {"type": "integer", "default": 1}}


@cache
def rare(sku: str) -> "Decimal":
    """Look for it."""
    raise NotImplementedError(sku)


class Shop:
    """A shop."""

    city: "Decimal"

    def __call__(self, sku: str) -> "Decimal":
        raise NotImplementedError(sku)

    def stock(self, sku: str) -> int:
        """Count what there is."""
        raise NotImplementedError(sku)


def named(function: Any, name: str) -> Function:  # noqa: ANN401 - a partial, or an object that can be called
    function.__name__ = name
    called: Function = function
    return called


@pytest.mark.parametrize(
    ("function", "name", "description", "required"),
    [
        (rare, "rare", "Look for it.", ["sku"]),
        (Shop().stock, "stock", "Count what there is.", ["sku"]),
        (named(Shop(), "shop"), "shop", "A shop.", ["sku"]),
        (named(partial(weather, unit="F"), "in_fahrenheit"), "in_fahrenheit", "Tell the weather.", ["city"]),
        (named(partial(weather, "Rome"), "in_rome"), "in_rome", "Tell the weather.", []),
    ],
)
def test_methods_objects_and_partials_are_tools_by_their_names(
    function: Function, name: str, description: str, required: list[str]
) -> None:
    tool = client_tool(function)
    assert all(json.loads(tool.parameters)["properties"].values())
    assert (tool.name, tool.description.split("\n")[0]) == (name, description)
    assert json.loads(tool.parameters)["required"] == required


@pytest.mark.parametrize("function", [Shop(), partial(weather, "Rome")])
def test_what_has_no_name_is_refused(function: Function) -> None:
    with pytest.raises(TypeError, match="has no name"):
        client_tool(function)
    with pytest.raises(TypeError, match="has no name"):
        by_name([function])


async def test_two_tools_of_one_name_are_refused() -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(ValueError, match="two tools have the name 'weather'"):
            client.turn("agent-1", "hi", tools=[weather, named(partial(weather, "Rome"), "weather")])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "'city'"),
        ('{"town": "Rome"}', "do not fit"),
    ],
)
def test_arguments_that_do_not_fit_are_told(arguments: str, why: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=why):
        bound(weather, arguments)


def test_no_arguments_at_all_are_an_empty_object() -> None:
    assert bound(lambda: None, "") == {}
    assert bound(weather, '{"city": "Rome"}') == {"city": "Rome"}


def test_line_ends_may_stand_in_strings_as_they_are() -> None:
    assert bound(weather, '{"city": "Rome\nItaly"}') == {"city": "Rome\nItaly"}


def test_the_source_of_a_function_is_taken_from_its_file_without_its_indentation() -> None:
    def inner(x: int) -> int:
        return x

    assert python_source(inner).code == "def inner(x: int) -> int:\n    return x\n"
    assert python_source("def f(): ...", timeout=2).timeout.seconds == 2
