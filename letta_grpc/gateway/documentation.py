"""`/openapi.json`, and `/docs`: a page of ours that shows it, with nothing from anywhere else."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from letta_grpc.gateway.descriptors import Contract
from letta_grpc.gateway.openapi import openapi_of
from letta_grpc.gateway.routes import Routes

_PAGE = {"docs": ("docs.html", "text/html"), "docs.js": ("docs.js", "text/javascript"), "docs.css": ("docs.css", "text/css")}


def documentation_routes(contract: Contract, routes: Routes, server: str) -> list[Route]:
    """Return the routes of the document and its page. The document is made when it is first asked for."""

    @cache
    def document() -> tuple[bytes, Mapping[str, str]]:
        body = orjson.dumps(openapi_of(contract, routes, server))
        return body, {"etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "cache-control": "no-cache"}

    async def openapi(request: Request) -> Response:
        body, headers = document()
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if not known.isdisjoint({"*", headers["etag"]}):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    return [Route("/openapi.json", openapi), *(Route(f"/{path}", _file(*file)) for path, file in _PAGE.items())]


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    content = (resources.files("letta_grpc.gateway") / "static" / name).read_bytes()

    def serve(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return serve
