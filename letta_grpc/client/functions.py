"""Python functions as tools: what a model is told of them, and calls with what it wrote.

Annotations say what a parameter takes: str, int, float, bool, None, Any, list, dict, Sequence, Mapping, TypedDict, Literal,
unions of these, and what they hold: what JSON has, since the arguments of a call come as they are. A parameter with a default
may be left out. The docstring is the description.
"""

import inspect
import json
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from datetime import date, time
from enum import Enum
from functools import partial
from math import isfinite
from textwrap import dedent
from types import SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from letta_grpc.v1 import runs_pb2

Function = Callable[..., Any]
Schema = dict[str, Any]

_PLAIN: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    list: "array",
    Sequence: "array",
    Iterable: "array",
    Collection: "array",
    dict: "object",
    Mapping: "object",
}
# What to take in place of what a model cannot give.
_INSTEAD: Mapping[type, str] = {
    Enum: "a Literal of its values",
    tuple: "a list",
    AbstractSet: "a list",
    bytes: "a str",
    date: "a str",
    time: "a str",
}


class ArgumentsInvalid(Exception):  # noqa: N818 - a verdict, for the model to read
    """A model's arguments are not what the function takes."""


def client_tool(function: Function) -> runs_pb2.ClientTool:
    """Describe a function to a model. Raises TypeError for an annotation that JSON Schema has no word for."""
    return runs_pb2.ClientTool(
        name=name_of(function),
        description=inspect.getdoc(_written(function)) or "",
        parameters=json.dumps(parameters_of(function)),
    )


def by_name(functions: Iterable[Function]) -> Mapping[str, Function]:
    """Return functions by what a model calls them. Raises ValueError where two have one name."""
    named: dict[str, Function] = {}
    for function in functions:
        name = name_of(function)
        if name in named:
            raise ValueError(f"two tools have the name {name!r}: a model could not tell them apart")
        named[name] = function
    return named


def name_of(function: Function) -> str:
    """Return what a model calls a function. Raises TypeError for one that has no name, as an object or a partial has none."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str):
        raise TypeError(f"{function!r} has no name that a model could call it by: set its __name__, or wrap it in a def")
    return name


def parameters_of(function: Function) -> Schema:
    """Return the JSON Schema of a function's parameters."""
    label = name_of(function)
    hints = _hints(function, label)
    properties: Schema = {}
    required: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise TypeError(f"{label}: {name} cannot be given by name, so no model can give it")
        hint = hints.get(name, Any)
        try:
            properties[name] = _schema(hint, f"{label}: {name}")
        except RecursionError:
            raise TypeError(f"{label}: {name}: {hint} holds itself. Take a dict where it does.") from None
        if parameter.default is parameter.empty:
            required.append(name)
        elif _is_json(parameter.default):
            properties[name]["default"] = parameter.default
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def bound(function: Function, arguments: str) -> Mapping[str, object]:
    """Return a model's arguments as keywords. Raises ArgumentsInvalid, whose text tells the model what is wrong."""
    try:
        # Many models write line ends in strings as they are.
        given = json.loads(arguments, strict=False) if arguments.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ArgumentsInvalid(f"The arguments are not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ArgumentsInvalid("The arguments are not a JSON object.")
    try:
        inspect.signature(function).bind(**given)
    except TypeError as error:
        raise ArgumentsInvalid(f"The arguments do not fit: {error}") from error
    return given


def called(function: Function, /, *arguments: object, **named: object) -> object:
    """Return what a function gives. Raises RuntimeError for its StopIteration, as generators do: see `unended`."""
    try:
        return function(*arguments, **named)
    except (StopIteration, CancelledError) as error:
        raise unended(error) from error


def unended(error: BaseException) -> RuntimeError:
    """Return what to raise in place of an error that says "no more": whoever iterates here would take it for the end.

    And in place of a CancelledError with which somebody has cancelled what the function waits for, and nobody the caller: it
    would end the caller. A future of asyncio's takes no StopIteration at all, in Python before 3.11.8 and 3.12.2: its waiter
    would wait for ever.
    """
    return RuntimeError(f"a function raised {type(error).__name__}")


def source_of(code: str | Function) -> str:
    """Return the source code of a function, as it stands in its file, decorators included; code stays as it is.

    Only the function is taken: what it uses it must import or define in its own body.
    """
    return code if isinstance(code, str) else dedent(inspect.getsource(code))


def _written(function: Function) -> Function:
    """Return the function that somebody wrote, of which a partial gives some arguments."""
    return _written(function.func) if isinstance(function, partial) else function


def _hints(function: Function, label: str) -> Mapping[str, Any]:
    """Return what the annotations of the parameters say; that of the return value may be known to type checkers alone."""
    written: Any = _written(function)
    if not inspect.isroutine(inspect.unwrap(written)):
        written = type(written).__call__
    given = {name: hint for name, hint in getattr(written, "__annotations__", {}).items() if name != "return"}
    known = getattr(inspect.unwrap(written), "__globals__", {})
    return {
        name: _resolved(SimpleNamespace(__annotations__={name: hint}, __globals__=known), f"{label}: {name}")[name]
        for name, hint in given.items()
    }


def _resolved(annotated: object, place: str) -> Mapping[str, Any]:
    try:
        return get_type_hints(annotated)
    except NameError as error:
        advice = "Define it, or import it, outside of functions and of `if TYPE_CHECKING`."
        raise TypeError(f"{place}: {error}. {advice}") from error


def _is_json(value: object) -> bool:
    """Tell whether JSON has a word for this value; it has none for nan and for what has no end."""
    return isfinite(value) if isinstance(value, float) else isinstance(value, str | int)


def _schema(hint: Any, place: str) -> Schema:  # noqa: ANN401 - a type hint
    origin, inner = get_origin(hint), get_args(hint)
    # typing.List without what it holds is no class, but stands for one.
    bare = origin if origin and not inner else hint
    if bare in _PLAIN or bare in {Any, object}:
        return {"type": _PLAIN[bare]} if bare in _PLAIN else {}
    if origin in {Union, UnionType}:
        return {"anyOf": [_schema(one, place) for one in inner]}
    if origin is Literal:
        for value in inner:
            if not (value is None or _is_json(value)):
                raise TypeError(f"{place}: JSON Schema has no word for {value!r}. {_advice(type(value))}")
        return {"enum": list(inner)}
    if _PLAIN.get(origin) == "array":
        return {"type": "array", "items": _schema(inner[0], place)}
    if _PLAIN.get(origin) == "object" and inner[0] is str:
        return {"type": "object", "additionalProperties": _schema(inner[1], place)}
    if is_typeddict(hint):
        fields = {name: _schema(one, f"{place}: {name}") for name, one in _resolved(hint, place).items()}
        required = sorted(hint.__required_keys__)
        return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
    raise TypeError(f"{place}: JSON Schema has no word for {hint}. {_advice(hint)}")


def _advice(hint: Any) -> str:  # noqa: ANN401 - a type hint
    """Say what to write instead."""
    kind = get_origin(hint) or hint
    fitting = (word for base, word in _INSTEAD.items() if isinstance(kind, type) and issubclass(kind, base))
    return f"Take {'a TypedDict' if is_dataclass(kind) else next(fitting, 'what JSON has')}, and make it of that."
