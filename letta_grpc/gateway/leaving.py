"""Work for a client that may leave at any moment."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from letta_grpc.gateway.bodies import ClientLeftError
from letta_grpc.gateway.races import first_of

T = TypeVar("T")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; cancel it when the client leaves. The request's body must have been read before."""
    await first_of(work, _left(receive))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_left(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the work's result; raise what it raises. When the client leaves, cancel the work: then raise ClientLeftError."""
    results: list[T] = []
    raised: list[Exception] = []

    async def kept() -> None:
        try:
            results.append(await work)
        except Exception as error:  # noqa: BLE001 - raised again below: the group would wrap it
            raised.append(error)

    await while_connected(receive, kept())
    if raised:
        raise raised[0]
    if not results:
        raise ClientLeftError
    return results[0]
