"""Lists by what was at work last, which the contract tells of runs alone."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import MAX_LIMIT
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import runs_pb2


class Named(Protocol):
    """A resource."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


T = TypeVar("T", bound=Named)


async def by_last_run(ask: Ask, items: Sequence[T], place_of: Callable[[runs_pb2.Run], str], agent_id: str = "") -> list[T]:
    """Return items by when the last run began in them, the latest last; those without any come first. Raises Failure.

    `place_of` says which of them a run belongs to; `agent_id` narrows the runs to one agent's.
    """
    waiting, seen = {item.id: item for item in items}, list[T]()
    request = pb.ListRunsRequest(agent_id=agent_id, descending=True, page_size=MAX_LIMIT)
    while waiting:
        page = await ask.call(ask.services.runs.ListRuns, request)
        seen += [item for run in page.runs if (item := waiting.pop(place_of(run), None))]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    return [*waiting.values(), *seen[::-1]]
