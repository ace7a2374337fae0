"""Lists by what was at work last, which the contract tells of runs alone."""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

from letta_grpc.gateway.faces.letta.operations import Ask, together
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
Place = Literal["agent_id", "conversation_id"]
# For how many resources the last run is asked for at once, which costs about what a page of runs does.
_QUESTIONS = 100


async def by_last_run(ask: Ask, items: Sequence[T], place: Place, agent_id: str = "") -> list[T]:
    """Return items by when the last run began in them, the latest last; those without any come first. Raises Failure.

    `place` is what a run names them by; `agent_id` narrows the runs to one agent's.
    """
    waiting, recent = {item.id: item for item in items}, list[T]()
    request = pb.ListRunsRequest(agent_id=agent_id, descending=True, page_size=MAX_LIMIT)
    # No longer than it takes to ask for each: the history may be far longer than that.
    for _ in range(1 + len(items) // _QUESTIONS):
        page = await ask.call(ask.services.runs.ListRuns, request)
        recent += [item for run in page.runs if (item := waiting.pop(getattr(run, place), None))]
        request.page_token = page.next_page_token
        if not waiting or not request.page_token:
            return [*waiting.values(), *recent[::-1]]
    runs = await _last_runs(ask, list(waiting), place)
    runs.sort(key=lambda run: run.create_time.ToNanoseconds())
    before = [waiting.pop(getattr(run, place)) for run in runs]
    return [*waiting.values(), *before, *recent[::-1]]


async def _last_runs(ask: Ask, ids: Sequence[str], place: Place) -> list[runs_pb2.Run]:
    """Return the last run of each that has any."""
    found: list[runs_pb2.Run] = []
    requests = [_last_run_of(id_, place) for id_ in ids]
    for start in range(0, len(requests), _QUESTIONS):
        some = requests[start : start + _QUESTIONS]
        pages = await together(*(ask.call(ask.services.runs.ListRuns, request) for request in some))
        found += [run for page in pages for run in page.runs]
    return found


def _last_run_of(id_: str, place: Place) -> pb.ListRunsRequest:
    request = pb.ListRunsRequest(descending=True, page_size=1)
    setattr(request, place, id_)
    return request
