"""What is wrong with schemas, and with answers.

Whoever may start a run writes the schema, and a model what is checked: neither may stop the server. So nothing is fetched,
each look at a keyword has a price, and regular expressions, which can take for ever, are told to the model and not checked.
"""

import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NoReturn

from jsonschema import Draft202012Validator, FormatChecker, SchemaError, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

# The price that a check may cost, in looks at keywords: about two seconds of a thread. Whole answers have less than half as
# many characters.
_BUDGET = 200_000
# How many values a schema may consist of: an empty sub-schema takes half a millisecond to check, and 64 KiB hold 21,000.
_MAX_VALUES = 2_000
_MAX_WORDS = 500
# Sub-schemas with an address or a dialect of their own, and keywords that need regular expressions to know what is left.
_REFUSED = ("$dynamicRef", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
_ROOT_ALONE = ("$id", "$schema")
_UNCHECKED = ("format", "pattern")

_spent: ContextVar[list[int]] = ContextVar("spent")

Keyword = Callable[[Any, Any, Any, Any], Any]


def fault_of_schema(schema: str) -> str | None:
    """Return what is wrong with a schema."""
    try:
        parsed = json.loads(schema, parse_constant=_no_number)
        if fault := next(_faults(parsed), None):
            return fault
        Draft202012Validator.check_schema(parsed, format_checker=FormatChecker(()))
    except SchemaError as error:
        return _words(error)
    except ValueError:
        return "is not JSON"
    except RecursionError:
        return "is nested too deeply"
    return _dangling(parsed)


def fault_of_answer(schema: str, answer: str) -> str | None:
    """Return why an answer does not have the shape of a faultless schema."""
    try:
        value = json.loads(answer, parse_constant=_no_number)
    except ValueError as error:
        return f"it is not JSON: {error}"
    except RecursionError:
        return "it is nested too deeply"
    _spent.set([0])
    try:
        checker = _CHECKER(_without_dialect(json.loads(schema)), registry=Registry())
        found = next(checker.iter_errors(value), None)
    except RecursionError:
        return "it, or its schema, is nested too deeply"
    except _OverspentError:
        return "it takes too long to check"
    return _words(found) if found else None


class _OverspentError(Exception):
    """The check costs more than it may."""


def _priced(keyword: Keyword) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:  # noqa: ANN401 - any JSON
        spent = _spent.get()
        spent[0] += 1 + _size(value) + _size(instance)
        if spent[0] > _BUDGET:
            raise _OverspentError
        return keyword(validator, value, instance, schema)

    return check


def _unique(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:  # noqa: ANN401 - any JSON
    """Check for items that are equal: the package compares each with each."""
    if wanted and isinstance(instance, list):
        seen = {json.dumps(item, sort_keys=True) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError("has items that are equal")


def _count(value: Any) -> int:  # noqa: ANN401 - any JSON
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_count, inner))


def _size(value: Any) -> int:  # noqa: ANN401 - any JSON
    return len(value) if isinstance(value, list | dict) else 0


_CHECKER = validators.extend(  # type: ignore[no-untyped-call]  # its stub says nothing of it
    Draft202012Validator,
    {
        name: _priced(_unique if name == "uniqueItems" else check)
        for name, check in Draft202012Validator.VALIDATORS.items()
        if name not in _UNCHECKED
    }
    | {name: lambda *_: () for name in _UNCHECKED},
)


def _faults(schema: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the faults that can be told before the package looks at a schema."""
    if not isinstance(schema, dict):
        yield "is not an object"
    if (values := _count(schema)) > _MAX_VALUES:
        yield f"has {values} values, sub-schemas included; at most {_MAX_VALUES} are allowed"
    yield from _unusable(schema, at_root=True)


def _unusable(schema: Any, *, at_root: bool = False) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield what a schema uses that is not supported here."""
    if isinstance(schema, list):
        for item in schema:
            yield from _unusable(item)
    if not isinstance(schema, dict):
        return
    yield from (f"{name} is not supported" for name in _REFUSED if name in schema)
    yield from (f"{name} may stand at the root alone" for name in _ROOT_ALONE if name in schema and not at_root)
    reference = schema.get("$ref", "#")
    if isinstance(reference, str) and not reference.startswith("#"):
        yield f"$ref {reference[:_MAX_WORDS]!r} leads out of the schema"
    for inner in schema.values():
        yield from _unusable(inner)


def _dangling(schema: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Return what a reference says that leads nowhere."""
    root = DRAFT202012.create_resource(_without_dialect(schema))
    resolver: Any = Registry().resolver_with_root(root)
    for reference in set(_references(schema)):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return f"$ref {reference[:_MAX_WORDS]!r} leads nowhere"
    return None


def _references(schema: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    match schema:
        case dict():
            if isinstance(reference := schema.get("$ref"), str):
                yield reference
            for inner in schema.values():
                yield from _references(inner)
        case list():
            for inner in schema:
                yield from _references(inner)


def _without_dialect(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a schema that is read as this draft and has no address, whatever it says itself."""
    return {key: value for key, value in schema.items() if key not in _ROOT_ALONE}


def _words(error: ValidationError | SchemaError) -> str:
    return f"at {error.json_path[:_MAX_WORDS]}: {error.message[:_MAX_WORDS]}"


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
