"""Field masks: which fields of a resource a request changes."""

from collections.abc import Callable, Mapping

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.transport.convert.rules import Rules


def changes_from_mask(rules: Rules, mask: FieldMask, readers: Mapping[str, Callable[[], object]]) -> dict[str, object]:
    """Return the new values of the fields that the mask names, each read by its reader."""
    if not mask.paths:
        rules.broken("update_mask", f"is required: any of {', '.join(readers)}")
    for path in mask.paths:
        if path not in readers:
            rules.broken("update_mask", f"{path!r} cannot be changed; any of {', '.join(readers)} can")
    return {path: readers[path]() for path in mask.paths if path in readers}
