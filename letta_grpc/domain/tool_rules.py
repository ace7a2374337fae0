"""Rules about which tools an agent may call when."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFirst:
    """The turn begins with this tool, with these arguments (JSON text) if any are given."""

    tool: str
    arguments: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitLoop:
    """The turn ends after this tool."""

    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinueLoop:
    """The turn goes on after this tool, also where it would end."""

    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstrainChild:
    """After this tool only one of `children` may come next, with these arguments (JSON text by tool) if any are given."""

    tool: str
    children: tuple[str, ...]
    arguments: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentLast:
    """`children` may come only right after this tool."""

    tool: str
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """What this tool returned says which tool comes next; `default` where no entry fits (None: any tool).

    `require_mapping`: a return that no entry fits is an error.
    """

    tool: str
    next_by_output: Mapping[str, str]
    default: str | None = None
    require_mapping: bool = False

    def next_after(self, output: str | None) -> tuple[str, ...] | None:
        """Return what has to follow this output: a tool, or nothing at all; None where anything may.

        Nothing may while the output is not known, nor where the mapping is required and no entry fits.
        """
        if output is None:
            return ()
        if (fit := _fit(self.next_by_output, output)) is not None:
            return (fit,)
        if self.require_mapping:
            return ()
        return None if self.default is None else (self.default,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxCount:
    """In one turn this tool may be called at most `limit` times."""

    tool: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredBeforeExit:
    """The turn may not end before this tool was called."""

    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiresApproval:
    """Calls of this tool wait for approval."""

    tool: str


ToolRule = (
    RunFirst
    | ExitLoop
    | ContinueLoop
    | ConstrainChild
    | ParentLast
    | Conditional
    | MaxCount
    | RequiredBeforeExit
    | RequiresApproval
)


def _fit(next_by_output: Mapping[str, str], output: str) -> str | None:
    """Return the entry for an output: of the same text, or else of the same truth, number or nothing in another spelling."""
    text = output.strip()
    if text in next_by_output:
        return next_by_output[text]
    value = _scalar(text)
    return None if value is None else next((tool for key, tool in next_by_output.items() if _scalar(key) == value), None)


def _scalar(text: str) -> tuple[str, object] | None:
    """Return a constant as JSON or Python spells it, or a number, each with its kind: 1 and true are not the same."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return "truth", lowered
    if lowered in ("null", "none"):
        return "nothing", None
    try:
        return "number", float(lowered)
    except ValueError:
        return None
