"""A tool's source as a function: which one it is, what it takes, and a call with what a model wrote."""

import ast
import asyncio
import inspect
import json
import linecache
import sys
import typing
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Annotated, Any, cast

import docstring_parser
import typing_extensions
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError

FILE_NAME = "tool.py"
_MODULE_NAME = "tool"
Function = Callable[..., Any]
# What other servers fill in: never the model's to give.
_INJECTED = frozenset({"self", "agent_state"})
# Sections of a docstring that a model has no need of: the schema tells of the parameters, and what comes back it sees.
_UNTOLD = frozenset({"Args:", "Arguments:", "Parameters:", "Params:", "Returns:", "Yields:", "Raises:"})


class SourceInvalid(Exception):  # noqa: N818 - named like the error that it becomes
    """The source code does not define a tool."""


class ArgumentsInvalid(Exception):  # noqa: N818 - a verdict, for the model to read
    """The arguments are not what the tool takes."""


def find_function(code: str, name: str) -> tuple[str, Function]:
    """Run the source; return the function of this name, or else the last public one at the top level, with its name."""
    names = _public_functions(code)
    if not names:
        raise SourceInvalid("the source defines no public function at its top level: def my_tool(...)")
    _replace_typed_dict()
    module = ModuleType(_MODULE_NAME)
    # Pydantic, dataclasses and pickle look for the module by its name; tracebacks for its lines.
    sys.modules[_MODULE_NAME] = module
    linecache.cache[FILE_NAME] = (len(code), None, code.splitlines(keepends=True), FILE_NAME)
    exec(compile(code, FILE_NAME, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what the sandbox is for
    found = name if name in names else names[-1]
    function = module.__dict__.get(found)
    if not callable(function):
        raise SourceInvalid(f"{found} is not a function when the source has run")
    return found, cast("Function", function)


def _replace_typed_dict() -> None:
    """Let tools write typing.TypedDict: before Python 3.12 it does not tell pydantic which keys are required."""
    if sys.version_info < (3, 12):
        typing.TypedDict = typing_extensions.TypedDict  # this process is the tool's alone


def _public_functions(code: str) -> list[str]:
    try:
        body = ast.parse(code, FILE_NAME).body
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise SourceInvalid(f"{where}{error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SourceInvalid(f"the source cannot be parsed: {error}") from None
    functions = (node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [node.name for node in functions if not node.name.startswith("_")]


def describe(name: str, function: Function, *, schema_given: bool = False) -> dict[str, str]:
    """Return name, description and the JSON Schema of the parameters: `{}` where another one is given."""
    if schema_given:
        _lenient_adapter(function)
    schema = {} if schema_given else _schema(function)
    return {"name": name, "description": _description(function), "parameters": json.dumps(schema)}


def _schema(function: Function) -> JsonSchemaValue:
    parameters = list(_described(function))
    for parameter in parameters:
        _schema_of_one(parameter.name, parameter.annotation)
    schema = _adapter(function, parameters).json_schema(schema_generator=_PlainSchema)
    # Without parameters, pydantic leaves out what providers insist on.
    return {"type": "object", "properties": {}, **schema}


class _PlainSchema(GenerateJsonSchema):
    """Without titles: they repeat the names, and a model reads every word."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's
        return False

    def emit_warning(self, kind: Any, detail: str) -> None:  # noqa: ANN401 - pydantic's
        """Keep quiet about defaults that JSON has no word for: they are left out."""

    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 - pydantic's
        encoded = super().encode_default(dft)
        try:
            json.dumps(encoded, allow_nan=False, ensure_ascii=False).encode()
        except ValueError as error:
            raise PydanticSerializationError(str(error)) from None
        return encoded

    def generate(self, schema: Any, mode: Any = "validation") -> JsonSchemaValue:  # noqa: ANN401 - pydantic's
        result = super().generate(schema, mode)
        for definition in result.get("$defs", {}).values():
            definition.pop("title", None)
        return result


def _schema_of_one(name: str, hint: Any) -> None:  # noqa: ANN401 - a type hint
    try:
        TypeAdapter(hint).json_schema(schema_generator=_PlainSchema)
    except PydanticUserError as error:
        raise SourceInvalid(f"parameter {name}: its type has no JSON Schema: {str(error).splitlines()[0]}") from None


def call(function: Function, arguments: str) -> object:
    """Call the function with the arguments that a model wrote. A coroutine is run to its end."""
    positional, named = bind(function, arguments)
    value = function(*positional, **named)
    return asyncio.run(_wait_for(value)) if inspect.isawaitable(value) else value


async def _wait_for(value: Awaitable[object]) -> object:
    return await value


def bind(function: Function, arguments: str) -> tuple[list[object], dict[str, object]]:
    """Return the arguments as those hints want them that work."""
    try:
        given = json.loads(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ArgumentsInvalid(f"The arguments are not JSON: {error}") from None
    if not isinstance(given, dict):
        raise ArgumentsInvalid("The arguments are not a JSON object.")
    try:
        named = _lenient_adapter(function).validate_json(json.dumps(given))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
        raise ArgumentsInvalid(f"The arguments do not fit: {told}") from None
    parameters = inspect.signature(function).parameters.values()
    first = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_ONLY]
    return [named.pop(name) for name in first], named


def _adapter(function: Function, parameters: Sequence[inspect.Parameter]) -> TypeAdapter[dict[str, object]]:
    """Return what checks arguments: all of them by name, whatever the function's own kinds of parameters are."""

    def collect(**named: object) -> dict[str, object]:
        return named

    told = {parameter.arg_name: parameter.description for parameter in _docstring(function).params}
    named = [
        parameter.replace(annotation=Annotated[parameter.annotation, Field(description=told[parameter.name])])
        if told.get(parameter.name)
        else parameter
        for parameter in parameters
    ]
    collect.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]  # what inspect looks for
    collect.__annotations__ = {parameter.name: parameter.annotation for parameter in named}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A function is no type to the checkers; pydantic takes it as the schema of its parameters.
        return TypeAdapter(cast("Any", collect))


def _lenient_adapter(function: Function) -> TypeAdapter[dict[str, object]]:
    """Return what checks arguments by those hints that work: a schema that was given may be the only one."""
    parameters = list(_callable_with(function))
    try:
        return _adapter(function, parameters)
    except Exception:  # noqa: BLE001 - a tool's own types have a say in it: they can raise anything
        return _adapter(function, [parameter.replace(annotation=_usable(parameter.annotation)) for parameter in parameters])


def _usable(hint: Any) -> Any:  # noqa: ANN401 - a type hint
    try:
        TypeAdapter(hint)
    except Exception:  # noqa: BLE001 - as above
        return Any
    return hint


def _described(function: Function) -> Iterator[inspect.Parameter]:
    """Give the parameters that a model is told of, all with hints that work."""
    for parameter in _parameters(function):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SourceInvalid(f"parameter {parameter.name}: a tool takes named parameters only, no * or **")
        if parameter.name in _INJECTED:
            continue
        if parameter.annotation is parameter.empty:
            raise SourceInvalid(f"parameter {parameter.name} has no type hint")
        yield parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_resolve(function, parameter))


def _callable_with(function: Function) -> Iterator[inspect.Parameter]:
    """Give what a call can fill. What has no hint that works takes anything."""
    for parameter in _parameters(function):
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                continue
            case parameter.VAR_KEYWORD:
                yield parameter.replace(annotation=Any)
            case _ if parameter.name in _INJECTED:
                default = None if parameter.default is parameter.empty else parameter.default
                yield parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=Any, default=default)
            case _:
                yield parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_resolved_or_any(function, parameter))


def _parameters(function: Function) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(function).parameters.values()
    except (ValueError, TypeError, NameError) as error:
        raise SourceInvalid(f"the function has no signature: {error}") from None


def _resolved_or_any(function: Function, parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - a type hint
    try:
        return Any if parameter.annotation is parameter.empty else _resolve(function, parameter)
    except SourceInvalid:
        return Any


def _resolve(function: Function, parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - a type hint
    holder = type("Holder", (), {"__annotations__": {parameter.name: parameter.annotation}})
    try:
        names = getattr(inspect.unwrap(function), "__globals__", {})
        hint = typing.get_type_hints(holder, globalns=names, include_extras=True)[parameter.name]
        # `x: int = None` is how many write it, and models give what a schema names as the default.
        return typing.Optional[hint] if parameter.default is None else hint  # noqa: UP045 - for a hint of any kind
    except Exception as error:  # noqa: BLE001 - a hint in quotes is code: it can raise anything
        raise SourceInvalid(f"parameter {parameter.name}: its type hint does not work: {error}") from None


def _description(function: Function) -> str:
    """Return the docstring, without some of its sections."""
    kept: list[str] = []
    is_untold = False
    for line in (inspect.getdoc(function) or "").splitlines():
        if line and not line[0].isspace():
            is_untold = line.rstrip() in _UNTOLD
        # Of the two empty lines around a section one is enough.
        if not is_untold and (line or kept[-1:] != [""]):
            kept.append(line)
    return "\n".join(kept).strip()


def _docstring(function: Function) -> docstring_parser.Docstring:
    style = docstring_parser.DocstringStyle.GOOGLE
    try:
        return docstring_parser.parse(inspect.getdoc(function) or "", style=style)
    except docstring_parser.ParseError:
        return docstring_parser.Docstring(style=style)
