"""What a route of this face is: a verb, a path, and a function from a request to what its JSON is made of.

Rule: a path is served with and without a slash at its end, unless it is exact; the SDKs write collections with one.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ParamSpec, Protocol, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from letta_grpc.gateway.bodies import ClientLeftError, aside_of, read_json
from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.letta.errors import told, unprocessable
from letta_grpc.gateway.faces.letta.fields import moment
from letta_grpc.gateway.faces.letta.forms import is_form, read_form
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.services import Services
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.leaving import while_connected
from letta_grpc.gateway.metadata import Metadata, metadata_with_password
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.upstream import settled

Q_contra = TypeVar("Q_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
Q = TypeVar("Q")
R = TypeVar("R")
P = ParamSpec("P")
T = TypeVar("T")
Json = Any
# `²` is a digit to Python and no number, and beyond 4300 digits it reads none.
_NUMBER = re.compile(r"[0-9]{1,18}")


class Method(Protocol[Q_contra, R_co]):
    """A unary method of a stub."""

    def __call__(self, request: Q_contra, /, *, metadata: Metadata) -> Awaitable[R_co]:
        """Begin the call."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `body` is {} where there is none: the SDKs send nothing, `{}` or `null` as they like."""

    request: Request
    services: Services
    body: Mapping[str, Any]
    metadata: Metadata
    options: GatewayOptions = field(default_factory=GatewayOptions)

    def path(self, name: str) -> str:
        """Return a variable of the path."""
        value: str = self.request.path_params[name]
        return value

    def path_id(self, kind: str) -> str:
        """Return the id of a resource of this kind, which the path names. Raises Failure."""
        return checked_id(kind, self.path(f"{kind}_id"))

    def query(self, name: str) -> str | None:
        """Return a query parameter; None if it is absent or empty."""
        return self.request.query_params.get(name) or None

    def queries(self, name: str) -> list[str]:
        """Return the values of a parameter that may be repeated. A comma in one is its own: the SDKs join nothing."""
        return [value for value in self.request.query_params.getlist(name) if value]

    def flag(self, name: str) -> bool | None:
        """Return a yes or no from the query, None if it is absent."""
        text = self.query(name)
        return None if text is None else text.lower() in {"true", "1", "yes"}

    def number(self, name: str, default: int, largest: int) -> int:
        """Return a number from the query. Raises Failure."""
        text = self.query(name)
        if text is None:
            return default
        number = int(text) if _NUMBER.fullmatch(text) else 0
        if not 1 <= number <= largest:
            raise unprocessable(name, f"must be a number from 1 to {largest}", "query")
        return number

    def time(self, name: str) -> datetime | None:
        """Return a time from the query, None if it is absent. Raises Failure."""
        text = self.query(name)
        return moment(name, text, "query") if text else None

    async def aside(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Return what work on the body returns, done beside the loop if the body is large. Raises what it raises."""
        return await aside_of(self.request.scope, work, *given, **named)

    async def call(self, method: Method[Q, R], request: Q) -> R:
        """Call the server as the one who asks. Raises Failure."""
        return await settled(method(request, metadata=self.metadata))


# A Response goes out as it is; anything else is JSON.
Answer = Callable[[Ask], Awaitable[Json | Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. For the migration table `better` says where it does more than the reference server's, `differs` where less.

    An `upload` takes forms, too: the parts are the body, a file its bytes.
    """

    verb: str
    path: str
    answer: Answer
    better: str = ""
    differs: str = ""
    status: int = 200
    exact: bool = False
    upload: bool = False

    @property
    def paths(self) -> Sequence[str]:
        """The paths that it answers at."""
        bare = self.path.rstrip("/")
        return (self.path,) if self.exact else (bare, f"{bare}/")


def routes_of(context: FaceContext, operations: Sequence[Operation]) -> Sequence[BaseRoute]:
    """Return the routes of operations."""
    services = Services(context.channel)
    return [
        Route(path, _Endpoint(operation, services, context), methods=[operation.verb])
        for operation in operations
        for path in operation.paths
    ]


class _Endpoint:
    """An ASGI application that answers one operation."""

    def __init__(self, operation: Operation, services: Services, context: FaceContext) -> None:
        self._operation = operation
        self._services = services
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._body(scope, receive)
            ask = Ask(Request(scope), self._services, body, metadata_with_password(scope), self._context.options)
        except Failure as failure:
            await told(failure)(scope, receive, send)
        except ClientLeftError:
            return
        else:
            await while_connected(receive, self._answer(ask, scope, receive, send))

    async def _answer(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._operation.answer(ask)
        except Failure as failure:
            answer = told(failure)
        if not isinstance(answer, Response):
            answer = Response(orjson.dumps(answer), self._operation.status, media_type="application/json")
        await answer(scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> Mapping[str, Any]:
        if scope["method"] == "GET":
            return {}
        if self._operation.upload and is_form(scope):
            return await read_form(scope, receive, self._context.options)
        body = await read_json(scope, receive, self._context.options, may_be_null=True)
        if body is not None and not isinstance(body, dict):
            raise unprocessable("", "must be a JSON object")
        return body or {}


async def together(*work: Awaitable[Any]) -> list[Any]:
    """Wait for several calls at once. Raises the first Failure."""
    return list(await asyncio.gather(*work))
