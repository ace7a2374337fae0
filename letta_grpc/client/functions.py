"""Python functions as tools: what a model is told of them, and calls with what it wrote.

Annotations say what a parameter takes: str, int, float, bool, None, Any, list, dict, Literal, unions of these, and what they
hold. A parameter with a default may be left out. The docstring is the description.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from textwrap import dedent
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

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
    dict: "object",
}


class ArgumentsInvalid(Exception):  # noqa: N818 - a verdict, for the model to read
    """A model's arguments are not what the function takes."""


def client_tool(function: Function) -> runs_pb2.ClientTool:
    """Describe a function to a model. Raises TypeError for an annotation that JSON Schema has no word for."""
    return runs_pb2.ClientTool(
        name=function.__name__, description=inspect.getdoc(function) or "", parameters=json.dumps(parameters_of(function))
    )


def parameters_of(function: Function) -> Schema:
    """Return the JSON Schema of a function's parameters."""
    hints = get_type_hints(function)
    properties: Schema = {}
    required: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise TypeError(f"{function.__name__}: {name} cannot be given by name, so no model can give it")
        properties[name] = _schema(hints.get(name, Any), f"{function.__name__}: {name}")
        if parameter.default is parameter.empty:
            required.append(name)
        elif isinstance(parameter.default, str | int | float | bool):
            properties[name]["default"] = parameter.default
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def bound(function: Function, arguments: str) -> Mapping[str, object]:
    """Return a model's arguments as keywords. Raises ArgumentsInvalid, whose text tells the model what is wrong."""
    try:
        given = json.loads(arguments) if arguments.strip() else {}
    except ValueError as error:
        raise ArgumentsInvalid(f"The arguments are not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ArgumentsInvalid("The arguments are not a JSON object.")
    try:
        inspect.signature(function).bind(**given)
    except TypeError as error:
        raise ArgumentsInvalid(f"The arguments do not fit: {error}") from error
    return given


def source_of(code: str | Function) -> str:
    """Return the source code of a function, as it stands in its file, decorators included; code stays as it is.

    Only the function is taken: what it uses it must import or define in its own body.
    """
    return code if isinstance(code, str) else dedent(inspect.getsource(code))


def _schema(hint: Any, place: str) -> Schema:  # noqa: ANN401 - a type hint
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return {"anyOf": [_schema(one, place) for one in inner]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": _schema(inner[0], place)}
    if origin is dict and inner[0] is str:
        return {"type": "object", "additionalProperties": _schema(inner[1], place)}
    raise TypeError(f"{place}: JSON Schema has no word for {hint}")
