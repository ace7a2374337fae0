"""The twin for threads, on grpcio-testing's channel and clock: what the test thread says is what the server does."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import grpc
import grpc_testing
import pytest

from letta_grpc.client import Client, EventsExpired, RetryPolicy, RunNotFound, ServerUnavailable
from letta_grpc.v1 import agent_service_pb2, events_pb2, run_service_pb2, runs_pb2
from tests.support.scripted_server import AGENT_ID, RUN_ID, Refusal, heartbeat, log_of

LOG = log_of(["Hel", "lo"])
NUMBERS = list(range(1, len(LOG) + 1))
RUNS = run_service_pb2.DESCRIPTOR.services_by_name["RunService"]
AGENTS = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]
Event = events_pb2.RunEvent
Response = run_service_pb2.StreamRunResponse | run_service_pb2.AttachRunResponse
Result = TypeVar("Result")


class Stage:
    """The client in a thread of its own, the server's part in the test's hands."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.clock = grpc_testing.strict_fake_time(0)
        self.channel = grpc_testing.channel([RUNS, AGENTS], self.clock)
        retry = RetryPolicy(draw=lambda: 1.0, initial_seconds=1, maximum_seconds=4, stream_attempts=4, call_attempts=3)
        self.client = Client(channel=self.channel, retry=retry, sleep=self.clock.sleep_for, api_key="secret")
        self._pool = pool
        self._seen: SimpleQueue[int] = SimpleQueue()

    def act(self, part: Callable[[Client], Result]) -> "Future[Result]":
        return self._pool.submit(part, self.client)

    def follow(self) -> "Future[list[int]]":
        return self.act(lambda client: [self._see(event) for event in client.stream(AGENT_ID, "hi")])

    def play_start(self, events: Sequence[Event], end: Refusal | None = None) -> run_service_pb2.StreamRunRequest:
        _, request, rpc = self.channel.take_unary_stream(RUNS.methods_by_name["StreamRun"])
        self._play(rpc, run_service_pb2.StreamRunResponse(run_id=RUN_ID, events=events), end)
        assert isinstance(request, run_service_pb2.StreamRunRequest)
        return request

    def play_attach(self, events: Sequence[Event], end: Refusal | None = None) -> int:
        _, request, rpc = self.channel.take_unary_stream(RUNS.methods_by_name["AttachRun"])
        self._play(rpc, run_service_pb2.AttachRunResponse(run_id=RUN_ID, events=events), end)
        assert isinstance(request, run_service_pb2.AttachRunRequest)
        return request.after_sequence_number

    def _play(self, rpc: grpc_testing.UnaryStreamChannelRpc, response: Response, end: Refusal | None) -> None:
        rpc.send_initial_metadata((("letta-run-id", RUN_ID),))
        if response.events:
            rpc.send_response(response)
        if end is None:
            rpc.terminate((), grpc.StatusCode.OK, "")
            return
        # The testing channel, unlike a real one, throws away what is unread when a call fails.
        if response.events:
            while self._seen.get(timeout=5) != response.events[-1].sequence_number:
                pass
        status = end.status()
        rpc.terminate(status.trailing_metadata, status.code, status.details)

    def _see(self, event: Event) -> int:
        self._seen.put(event.sequence_number)
        return event.sequence_number


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        stage = Stage(pool)
        yield stage
        # Lets the thread go when a test has failed halfway.
        stage.client.close()


def test_a_stream_yields_every_event_of_the_run(stage: Stage) -> None:
    numbers = stage.follow()
    request = stage.play_start(LOG)
    assert numbers.result(5) == NUMBERS
    assert request.run.messages[0].user.text == "hi"


def test_a_cut_stream_goes_on_from_the_next_event(stage: Stage) -> None:
    numbers = stage.follow()
    stage.play_start(LOG[:4], end=Refusal())
    assert stage.play_attach([heartbeat(4), *LOG[4:]]) == 4
    assert numbers.result(5) == NUMBERS


def test_waits_double_and_begin_again_after_progress(stage: Stage) -> None:
    numbers = stage.follow()
    stage.play_start(LOG[:2], end=Refusal())
    stage.play_attach([], end=Refusal())
    assert stage.clock.time() == 1
    stage.play_attach([], end=Refusal())
    assert stage.clock.time() == 1 + 2
    stage.play_attach(LOG[2:4], end=Refusal())
    assert stage.clock.time() == 1 + 2 + 4
    stage.play_attach(LOG[4:])
    assert numbers.result(5) == NUMBERS
    assert stage.clock.time() == 1 + 2 + 4 + 1


def test_a_stream_without_progress_gives_up(stage: Stage) -> None:
    numbers = stage.follow()
    stage.play_start(LOG[:2], end=Refusal())
    for _ in range(3):
        stage.play_attach([], end=Refusal())
    with pytest.raises(ServerUnavailable):
        numbers.result(5)


def test_an_error_that_no_new_try_helps_is_raised_at_once(stage: Stage) -> None:
    numbers = stage.follow()
    stage.play_start(LOG[:2], end=Refusal())
    stage.play_attach([], end=Refusal(code=grpc.StatusCode.OUT_OF_RANGE, reason="EVENTS_EXPIRED", message="gone"))
    with pytest.raises(EventsExpired, match="gone"):
        numbers.result(5)
    assert stage.clock.time() == 1


def test_text_and_final_read_to_the_end(stage: Stage) -> None:
    text = stage.act(lambda client: client.stream(AGENT_ID, "hi").text())
    stage.play_start(LOG)
    assert text.result(5) == "Hello"
    run = stage.act(lambda client: client.stream(AGENT_ID, "hi").final())
    stage.play_start(LOG)
    assert run.result(5).state == runs_pb2.RUN_STATE_COMPLETED


def test_calls_carry_the_key_and_a_time_limit_and_raise_typed_errors(stage: Stage) -> None:
    asked = stage.act(lambda client: client.runs.get(RUN_ID))
    metadata, _, rpc = stage.channel.take_unary_unary(RUNS.methods_by_name["GetRun"])
    refusal = Refusal(code=grpc.StatusCode.NOT_FOUND, reason="RUN_NOT_FOUND", message="no such run").status()
    rpc.terminate(None, refusal.trailing_metadata, refusal.code, refusal.details)
    with pytest.raises(RunNotFound):
        asked.result(5)
    assert ("authorization", "Bearer secret") in [(one[0], one[1]) for one in metadata]


def test_a_list_goes_over_all_its_pages(stage: Stage) -> None:
    names = stage.act(lambda client: [agent.name for agent in client.agents.list(page_size=1)])
    for name, token in [("ada", "more"), ("bob", "")]:
        _, request, rpc = stage.channel.take_unary_unary(AGENTS.methods_by_name["ListAgents"])
        response = agent_service_pb2.ListAgentsResponse(next_page_token=token)
        response.agents.add(name=name)
        rpc.send_initial_metadata(())
        rpc.terminate(response, (), grpc.StatusCode.OK, "")
        assert request.page_token == ("" if name == "ada" else "more")
    assert names.result(5) == ["ada", "bob"]
