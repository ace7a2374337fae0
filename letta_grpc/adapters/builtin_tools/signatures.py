"""From a function's signature to what a model is told of it, and from what the model wrote to the function's arguments."""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator
from pydantic_core import ErrorDetails

from letta_grpc.adapters.builtin_tools.workplace import ToolError, Workplace
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.ports.tools import ToolResult

# The first parameter is the Workplace, the others are the model's to give.
ToolFunction = Callable[..., Awaitable[ToolResult]]

_MAX_COMPLAINTS = 3


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _take_null_for_absent(cls, given: object) -> object:
        """Models that are told of a default write null for it."""
        if not isinstance(given, dict):
            return given
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: value for name, value in given.items() if value is not None or name not in optional}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTool:
    """A function with its definition and the rules for its arguments."""

    definition: ToolDefinition
    arguments: type[BaseModel]
    function: ToolFunction

    @classmethod
    def of(cls, function: ToolFunction) -> Self:
        """Make one of an annotated function. No such tool changes anything itself, so all are idempotent."""
        arguments = _arguments_of(function)
        definition = ToolDefinition(
            name=function.__name__,
            description=inspect.getdoc(function) or "",
            parameters=json.dumps(_schema_of(arguments)),
            idempotent=True,
        )
        return cls(definition=definition, arguments=arguments, function=function)

    async def run(self, workplace: Workplace, text: str) -> ToolResult:
        """Run the function with the arguments that the model wrote."""
        try:
            given = self.arguments.model_validate_json(text)
        except ValidationError as error:
            raise ToolError(self._complaint(error)) from None
        return await self.function(workplace, **{name: getattr(given, name) for name in self.arguments.model_fields})

    def _complaint(self, error: ValidationError) -> str:
        details = error.errors(include_url=False, include_input=False)
        names = ", ".join(
            name if field.is_required() else f"{name} (optional)" for name, field in self.arguments.model_fields.items()
        )
        complaints = "; ".join(_complaint(detail) for detail in details[:_MAX_COMPLAINTS])
        return f"{complaints}. {self.definition.name} takes a JSON object with: {names}."


def _arguments_of(function: ToolFunction) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    _, *parameters = inspect.signature(function).parameters.values()
    fields: dict[str, Any] = {p.name: (hints[p.name], ... if p.default is p.empty else p.default) for p in parameters}
    return create_model(function.__name__, __base__=_Arguments, **fields)


def _schema_of(arguments: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema without the titles that only repeat the names."""
    schema = arguments.model_json_schema()
    del schema["title"]
    for field in schema["properties"].values():
        del field["title"]
    return schema


def _complaint(detail: ErrorDetails) -> str:
    name = repr(".".join(str(part) for part in detail["loc"])[:100])
    match detail["type"]:
        case "json_invalid":
            return f"The arguments are not valid JSON ({detail['msg'].removeprefix('Invalid JSON: ')})"
        case "string_unicode" if not detail["loc"]:
            return "The arguments are not Unicode text"
        case "model_type":
            return "The arguments are not a JSON object"
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is not an argument of this tool"
        case _:
            return f"{name}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
