"""Methods: what the service descriptors say, joined with the servicers that answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

RUN_ID_KEY = "letta-run-id"


class Response(NamedTuple):
    """A response of a stream as it goes out, and how many stored events are in it."""

    body: bytes
    events: int


class Call(Protocol):
    """What a servicer is told of its call, and may do with it."""

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that the work should hang on."""
        ...

    @property
    def caller(self) -> str:
        """A short name for whoever holds the API key of the call, which does not tell the key; empty without one."""
        ...

    async def announce(self, run_id: str) -> None:
        """Send the run's id as initial metadata, at once."""
        ...


# What a client that streams has sent, in order: each a request, or what is wrong with it.
Requests = AsyncIterator[Any]

UnaryFunction = Callable[[Any, Call], Awaitable[Message]]
StreamFunction = Callable[[Any, Call], AsyncGenerator[Response, None]]
BidiFunction = Callable[[Requests, Call], AsyncGenerator[Response, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnaryMethod:
    """A method with one answer. `name` is `package.Service/Method`."""

    name: str
    request: type[Message]
    answer: UnaryFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMethod:
    """A method that answers with a stream."""

    name: str
    request: type[Message]
    answer: StreamFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class BidiMethod:
    """A method that reads a stream and answers with one."""

    name: str
    request: type[Message]
    answer: BidiFunction


Method = UnaryMethod | StreamMethod | BidiMethod


def methods_of(servicers: Iterable[tuple[ServiceDescriptor, object]]) -> Mapping[str, Method]:
    """Return all methods of the services by name; a servicer without one of its service's methods is an AttributeError."""
    return {
        method.name: method
        for service, servicer in servicers
        for method in (_method(service, name, servicer) for name in service.methods_by_name)
    }


def _method(service: ServiceDescriptor, name: str, servicer: object) -> Method:
    descriptor = service.methods_by_name[name]
    kind: type[Method] = UnaryMethod
    if descriptor.server_streaming:
        kind = BidiMethod if descriptor.client_streaming else StreamMethod
    return kind(
        name=f"{service.full_name}/{name}",
        request=GetMessageClass(descriptor.input_type),
        answer=getattr(servicer, name),
    )
