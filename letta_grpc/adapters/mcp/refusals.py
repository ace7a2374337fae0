"""Why the mcp package refuses what a server says, in so few words that a model can be told."""

from jsonschema import ValidationError as Misfit
from pydantic import ValidationError

_MAX_FAULT = 500


def fault_of(error: ValidationError | RuntimeError) -> str:
    """Return what is wrong, without a full stop. Of a misfit the package tells the whole schema and the whole answer, too."""
    return _told(error)[:_MAX_FAULT].rstrip(".\n ")


def _told(error: ValidationError | RuntimeError) -> str:
    match error:
        case ValidationError():
            # Those of the other kinds of content may follow, which it could have been.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}"
        case RuntimeError(__cause__=Misfit() as misfit):
            return f"its structured content does not fit the tool's own output schema: {misfit.json_path}: {misfit.message}"
        case _:
            return str(error)
