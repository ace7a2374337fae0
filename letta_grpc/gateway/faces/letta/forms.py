"""Forms, by which files are sent."""

from collections.abc import AsyncGenerator, Mapping

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive, Scope

from letta_grpc.gateway.bodies import header, read_body
from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.options import GatewayOptions

_MAX_PARTS = 32


def is_form(scope: Scope) -> bool:
    """Say whether a request brings a form."""
    return header(scope, b"content-type").lower().startswith("multipart/form-data")


async def read_form(scope: Scope, receive: Receive, options: GatewayOptions) -> Mapping[str, str | bytes]:
    """Return the parts of a form by name: fields as texts, files as their bytes. Raises Failure, ClientLeftError."""
    body = await read_body(scope, receive, options)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    # The body is in memory already, and no larger than it may be: so nothing is written to a disk.
    parser = MultiPartParser(
        Headers(scope=scope), stream(), max_files=_MAX_PARTS, max_fields=_MAX_PARTS, max_part_size=options.max_body_bytes
    )
    parser.spool_max_size = options.max_body_bytes
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise unprocessable("", f"the form cannot be read: {error}") from None
    try:
        return {name: await part.read() if isinstance(part, UploadFile) else part for name, part in form.items()}
    finally:
        await form.close()
