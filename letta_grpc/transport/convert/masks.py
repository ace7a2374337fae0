"""Field masks: which fields of a resource a request changes, or reads."""

from collections.abc import Callable, Mapping, Sequence

from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.transport.convert.rules import Rules


def changes_from_mask(rules: Rules, mask: FieldMask, readers: Mapping[str, Callable[[], object]]) -> dict[str, object]:
    """Return the new values of the fields that the mask names, each read by its reader."""
    if not mask.paths:
        rules.broken("update_mask", f"is required: any of {', '.join(readers)}")
    paths = rules.at_most("update_mask", mask.paths, len(readers))
    for path in paths:
        if path not in readers:
            rules.broken("update_mask", f"{path!r} cannot be changed; any of {', '.join(readers)} can")
    return {path: readers[path]() for path in paths if path in readers}


def read_from_mask(rules: Rules, mask: FieldMask, resource: Descriptor) -> Sequence[str]:
    """Return the fields that the mask names, as AIP-157 has it: without any, or by `*`, all of the resource's."""
    readable = [field.name for field in resource.fields]
    paths = rules.at_most("read_mask", mask.paths, len(readable))
    if paths in ((), ("*",)):
        return readable
    for path in paths:
        if path not in readable:
            rules.broken("read_mask", f"{path!r} cannot be read; any of {', '.join(readable)} can")
    return paths
