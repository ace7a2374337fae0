"""The gateway as an ASGI application: native routes under `/api`, the faces, the documentation."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import grpc
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from letta_grpc.gateway.admission import Admission
from letta_grpc.gateway.descriptors import Contract, own_contract
from letta_grpc.gateway.documentation import documentation_routes
from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces import FACES
from letta_grpc.gateway.failures import Failure, refused, unexpected
from letta_grpc.gateway.guards import Guards
from letta_grpc.gateway.metadata import RUN_ID_KEY
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.transcoder import Transcoder

logger = logging.getLogger(__name__)

API = "/api"
_CORS_MAX_AGE_SECONDS = 600


def gateway_app(channel: grpc.aio.Channel, options: GatewayOptions | None = None, contract: Contract | None = None) -> ASGIApp:
    """Return the gateway over a channel. `contract` is by default that of `letta_grpc.v1`.

    Its lifespan closes what faces have opened; `http_serving` sees to that.
    """
    chosen, known = options or GatewayOptions(), contract or own_contract()
    context = FaceContext(channel, chosen)
    transcoder = Transcoder(channel, known, chosen)
    own: list[BaseRoute] = [
        Mount(API, transcoder),
        *documentation_routes(known, transcoder.routes, API),
        Route("/", _status),
    ]
    app = Starlette(
        routes=[*(route for face in FACES for route in face(context)), *own],
        middleware=_middleware(channel, chosen),
        exception_handlers={Failure: _told, HTTPException: _told_http, Exception: _told_unexpected},
        lifespan=partial(_lifespan, context),
    )
    # A path that is wrong by a slash is wrong: clients do not follow redirects of a POST.
    app.router.redirect_slashes = False
    return app


@asynccontextmanager
async def _lifespan(context: FaceContext, _app: Starlette) -> AsyncIterator[None]:
    async with context.closing:
        yield


def _middleware(channel: grpc.aio.Channel, options: GatewayOptions) -> list[Middleware]:
    edge = [Middleware(Guards, options), Middleware(Admission, channel)]
    if not options.cors_origins:
        return edge
    cors = Middleware(
        CORSMiddleware,
        allow_origins=options.cors_origins,
        allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        # There are no cookies to ride on, and SDKs send headers of their own, more with each version.
        allow_headers=("*",),
        expose_headers=(RUN_ID_KEY, "retry-after", "x-should-retry"),
        max_age=_CORS_MAX_AGE_SECONDS,
    )
    return [cors, *edge]


async def _status(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _told(_request: Request, error: Exception) -> Response:
    failure = error if isinstance(error, Failure) else unexpected()
    return JSONResponse(failure.as_dict(), failure.http, failure.headers)


async def _told_http(request: Request, error: Exception) -> Response:
    """Tell what Starlette's own routing finds in the form of all failures."""
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    if status == 404:  # noqa: PLR2004 - not found
        failure = refused(f"Nothing answers at {request.url.path}.", http=404, code=grpc.StatusCode.NOT_FOUND)
    else:
        message = f"{request.method} is not allowed here."
        failure = refused(message, http=status, code=grpc.StatusCode.UNIMPLEMENTED, headers=headers)
    return await _told(request, failure)


async def _told_unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises it again behind this, and uvicorn logs it whole.
    logger.error("request failed", extra={"path": request.url.path, "error": type(error).__name__})
    return await _told(request, unexpected())
