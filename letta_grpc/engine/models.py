"""Models as requests name them."""

from letta_grpc.domain.errors import ModelUnknown
from letta_grpc.ports.models import Models


def check_model(models: Models, handle: str, path: str) -> None:
    """Raise ModelUnknown if there is no such model, with the path of the field that asked for it."""
    try:
        models.resolve(handle)
    except ModelUnknown as unknown:
        raise ModelUnknown(unknown.message, fields={path: unknown.message}, **unknown.metadata) from unknown
