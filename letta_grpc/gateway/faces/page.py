"""The chat page: `/` for whoever accepts HTML, and its files under `/static`. Built from `gateway/page`.

It is a client like any other, of the native routes: all that it needs of the server is there.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import resources

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from letta_grpc.gateway.bodies import header
from letta_grpc.gateway.compression import accepts_gzip, gzipped
from letta_grpc.gateway.face import FaceContext

_KINDS = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}
_PAGE, _ICON = "index.html", "icon.svg"
# Browsers keep the files, and ask each time whether they are still the same: after an update nobody has half a page.
_CACHING = {"cache-control": "no-cache", "vary": "accept, accept-encoding"}


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    plain: bytes
    packed: bytes
    etag: str

    def answer(self, request: Request) -> Response:
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=_CACHING | {"etag": self.etag})
        is_packed = accepts_gzip(header(request.scope, b"accept-encoding"))
        headers = _CACHING | {"etag": self.etag} | ({"content-encoding": "gzip"} if is_packed else {})
        return Response(self.packed if is_packed else self.plain, headers=headers, media_type=self.kind)


def page_face(_context: FaceContext) -> Sequence[BaseRoute]:
    """Return the routes of the page."""
    files = {name: _read(name, kind) for name, kind in _KINDS.items()}

    async def front(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return files[_PAGE].answer(request)
        return JSONResponse({"status": "ok"}, headers=_CACHING)

    own = [Route(f"/static/{name}", _serving(file)) for name, file in files.items() if name != _PAGE]
    # Browsers ask for this one unasked, on each page of ours.
    return [Route("/", front), *own, Route("/favicon.ico", _serving(files[_ICON]))]


def _serving(file: _File) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return file.answer(request)

    return serve


def _read(name: str, kind: str) -> _File:
    content = (resources.files("letta_grpc.gateway") / "static/page" / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    # Weak: the same for both encodings.
    return _File(kind, content, gzipped(content), f'W/"{digest}"')
