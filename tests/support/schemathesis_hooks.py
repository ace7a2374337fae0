"""What schemathesis is not to try; it loads this file by its path."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:  # noqa: ANN401 - any JSON
    """Leave out what holds a null: in ProtoJSON it is a field that is not set, which no schema of what is written says."""
    return not holds_null(body)


def holds_null(value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Say whether there is one anywhere."""
    match value:
        case None:
            return True
        case dict():
            return any(holds_null(inner) for inner in value.values())
        case list():
            return any(holds_null(inner) for inner in value)
        case _:
            return False
