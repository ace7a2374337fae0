"""Reading requests is checking them: every broken rule at once, by the path of its field."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from letta_grpc.domain.messages import Role, SpokenInput, TextPart
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, DisconnectPolicy, RunSpec, RunState, StopReason
from letta_grpc.transport.convert import agents, archive, requests, tools
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.convert.times import seconds_from_pb, seconds_to_pb, timestamp_from_pb, timestamp_to_pb
from letta_grpc.v1 import (
    agent_service_pb2,
    agents_pb2,
    archive_service_pb2,
    messages_pb2,
    passages_pb2,
    run_service_pb2,
    runs_pb2,
    tool_service_pb2,
    tools_pb2,
)
from tests.support.requests import AGENT, CONVERSATION, REQUEST_ID, RUN, broken


def user(text: str) -> messages_pb2.InputMessage:
    return messages_pb2.InputMessage(user=messages_pb2.UserInput(text=text))


def start(**spec: object) -> run_service_pb2.StreamRunRequest:
    return run_service_pb2.StreamRunRequest(agent_id=AGENT, run=runs_pb2.RunSpec(**({"messages": [user("hi")]} | spec)))  # type: ignore[arg-type]  # fields by name


def broken_start(**spec: object) -> set[str]:
    return set(broken(lambda: requests.stream_from_pb(start(**spec), None)))


def test_a_bare_start_gets_the_defaults_of_the_contract() -> None:
    wanted, view = requests.stream_from_pb(start(), "trace")
    assert wanted.spec == RunSpec(messages=(SpokenInput(role=Role.USER, content=(TextPart("hi"),)),))
    assert (wanted.agent_id, wanted.conversation_id, wanted.request_id, wanted.traceparent) == (AGENT, None, None, "trace")
    assert view == requests.View()
    assert (view.is_plain, view.heartbeat_seconds) == (True, 15.0)


def test_all_that_a_start_says_arrives() -> None:
    spec = runs_pb2.RunSpec(
        messages=[
            messages_pb2.InputMessage(
                otid="mine",
                system=messages_pb2.SystemInput(
                    content=messages_pb2.Content(
                        parts=[messages_pb2.ContentPart(text="a"), messages_pb2.ContentPart(text="b")]
                    )
                ),
            )
        ],
        max_steps=3,
        run_timeout=Duration(seconds=2, nanos=500_000_000),
        conflict_policy=runs_pb2.CONFLICT_POLICY_ENQUEUE,
        disconnect_policy=runs_pb2.DISCONNECT_POLICY_CANCEL,
        disconnect_grace=Duration(),
        model="openai/gpt",
        system="",
        metadata={"a": "b"},
        background=True,
        tool_choice=["a", "b"],
    )
    wanted = requests.start_from_pb(
        run_service_pb2.CreateRunRequest(agent_id=AGENT, conversation_id=CONVERSATION, request_id=REQUEST_ID, run=spec), None
    )
    assert wanted.spec == RunSpec(
        messages=(SpokenInput(role=Role.SYSTEM, content=(TextPart("a"), TextPart("b")), otid="mine"),),
        max_steps=3,
        run_timeout=timedelta(seconds=2.5),
        conflict_policy=ConflictPolicy.ENQUEUE,
        disconnect_policy=DisconnectPolicy.CANCEL,
        disconnect_grace=timedelta(),
        model="openai/gpt",
        system="",
        metadata={"a": "b"},
        background=True,
        tool_choice=("a", "b"),
    )
    assert (wanted.conversation_id, wanted.request_id) == (CONVERSATION, REQUEST_ID.lower())


@pytest.mark.parametrize("text", ["", "default"])
def test_the_default_conversation_has_two_names(text: str) -> None:
    request = start()
    request.conversation_id = text
    assert requests.stream_from_pb(request, None)[0].conversation_id is None


def test_every_broken_rule_is_told_at_once() -> None:
    request = run_service_pb2.StreamRunRequest(
        agent_id="agent-1",
        conversation_id="conv",
        request_id="7",
        run=runs_pb2.RunSpec(
            messages=[user(""), messages_pb2.InputMessage()],
            max_steps=0,
            metadata={str(n): "" for n in range(65)},
            tool_choice=["x" * 257, *["y"] * 63, ""],
        ),
        options=run_service_pb2.StreamOptions(heartbeat_interval=Duration(nanos=5), min_chunk_chars=-1, event_kinds=[99]),  # type: ignore[list-item]  # what a newer client may send
    )
    assert set(broken(lambda: requests.stream_from_pb(request, None))) == {
        "agent_id",
        "conversation_id",
        "request_id",
        "run.messages[0].user.text",
        "run.messages[1]",
        "run.max_steps",
        "run.metadata",
        "run.tool_choice",
        "run.tool_choice[0]",
        "options.heartbeat_interval",
        "options.min_chunk_chars",
        "options.event_kinds[0]",
    }


def test_a_tag_that_breaks_a_rule_is_named_by_its_place_in_the_request() -> None:
    """A tag twice is a tag once, but the caller looks for the broken one among those that it has sent."""
    tags = ["a", "a", ""]
    agent = agent_service_pb2.CreateAgentRequest(agent=agents_pb2.Agent(model="test/model", tags=tags))
    assert broken(lambda: agents.new_agent_from_pb(agent)).keys() == {"agent.tags[2]"}
    tool = tool_service_pb2.CreateToolRequest(tool=tools_pb2.Tool(tags=tags))
    assert "tool.tags[2]" in broken(lambda: tools.new_tool_from_pb(tool))
    passage = archive_service_pb2.CreatePassageRequest(agent_id=AGENT, passage=passages_pb2.Passage(text="x", tags=tags))
    assert broken(lambda: archive.new_passage_from_pb(passage)).keys() == {"passage.tags[2]"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is required: agent-<uuid4>"),
        ("agent-1", "must be agent-<uuid4>, in lower case"),
        (AGENT.upper(), "must be agent-<uuid4>, in lower case"),
        (RUN, "must be agent-<uuid4>, in lower case"),
    ],
)
def test_a_malformed_id_is_told_the_shape(text: str, rule: str) -> None:
    request = agent_service_pb2.GetAgentRequest(agent_id=text)
    assert broken(lambda: agents.agent_id_from_pb(request)) == {"agent_id": rule}


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("messages", [], "run.messages"),
        ("messages", [user("x" * 1_048_577)], "run.messages[0].user.text"),
        (
            "messages",
            [messages_pb2.InputMessage(otid="x" * 129, user=messages_pb2.UserInput(text="a"))],
            "run.messages[0].otid",
        ),
        ("messages", [messages_pb2.InputMessage(user=messages_pb2.UserInput())], "run.messages[0].user"),
        (
            "messages",
            [messages_pb2.InputMessage(user=messages_pb2.UserInput(content=messages_pb2.Content()))],
            "run.messages[0].user.content.parts",
        ),
        ("max_steps", 1001, "run.max_steps"),
        ("max_steps", -1, "run.max_steps"),
        ("run_timeout", Duration(nanos=999_999_999), "run.run_timeout"),
        ("run_timeout", Duration(seconds=86_400, nanos=1), "run.run_timeout"),
        ("run_timeout", Duration(seconds=-(2**62)), "run.run_timeout"),
        ("disconnect_grace", Duration(seconds=3601), "run.disconnect_grace"),
        ("conflict_policy", 17, "run.conflict_policy"),
        ("disconnect_policy", 17, "run.disconnect_policy"),
        ("model", "", "run.model"),
        ("metadata", {"key": "x" * 70_000}, "run.metadata"),
    ],
)
def test_a_rule_of_the_run_is_kept(field: str, value: object, path: str) -> None:
    assert broken_start(**{field: value}) == {path}


def test_only_text_parts_are_input() -> None:
    content = messages_pb2.Content(parts=[messages_pb2.ContentPart(text="a"), messages_pb2.ContentPart(reasoning="b")])
    message = messages_pb2.InputMessage(user=messages_pb2.UserInput(content=content))
    assert broken_start(messages=[message]) == {"run.messages[0].user.content.parts[1]"}


@pytest.mark.parametrize(
    ("interval", "seconds"), [(Duration(), None), (Duration(seconds=1), 1.0), (Duration(seconds=600), 600.0)]
)
def test_heartbeats_can_be_slow_quick_and_off(interval: Duration, seconds: float | None) -> None:
    request = start()
    request.options.heartbeat_interval.CopyFrom(interval)
    assert requests.stream_from_pb(request, None)[1].heartbeat_seconds == seconds


def test_a_negative_cursor_is_refused() -> None:
    request = run_service_pb2.AttachRunRequest(run_id=RUN, after_sequence_number=-1)
    assert set(broken(lambda: requests.attach_from_pb(request))) == {"after_sequence_number"}


@given(st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50)
def test_a_page_token_gives_its_position_back(position: int) -> None:
    request = run_service_pb2.ListStepsRequest(run_id=RUN, page_token=token_of(position))
    assert requests.steps_query_from_pb(request)[2] == PageRequest(after=position)


@pytest.mark.parametrize("token", ["7", "?", "AAAAAAAAAAc=", "AAAAAAAAAA!c", "AAAAAAAAAAAAAAAAAAc", "AAAAAAAAAAd", "ä"])
def test_a_page_token_that_was_not_ours_is_refused(token: str) -> None:
    request = run_service_pb2.ListStepsRequest(run_id=RUN, page_token=token)
    assert set(broken(lambda: requests.steps_query_from_pb(request))) == {"page_token"}


@pytest.mark.parametrize("size", [-1, 1001])
def test_a_page_has_a_size_within_bounds(size: int) -> None:
    request = agent_service_pb2.ListAgentsRequest(page_size=size)
    assert set(broken(lambda: agents.agents_query_from_pb(request))) == {"page_size"}


def test_the_filters_of_a_list_of_runs_arrive() -> None:
    time = Timestamp(seconds=1_893_499_200)
    request = run_service_pb2.ListRunsRequest(
        agent_id=AGENT,
        conversation_id=CONVERSATION,
        states=[runs_pb2.RUN_STATE_FAILED],
        stop_reasons=[runs_pb2.STOP_REASON_TIMEOUT],
        background=False,
        create_time_from=time,
        page_size=3,
        descending=True,
    )
    page, where = requests.runs_query_from_pb(request)
    assert page == PageRequest(size=3, descending=True)
    assert (where.agent_id, where.conversation_id, where.background) == (AGENT, CONVERSATION, False)
    assert (where.states, where.stop_reasons) == ((RunState.FAILED,), (StopReason.TIMEOUT,))
    assert (where.create_time_from, where.create_time_before) == (datetime(2030, 1, 1, 12, tzinfo=UTC), None)


def test_an_unset_filter_does_not_narrow() -> None:
    _, where = requests.runs_query_from_pb(run_service_pb2.ListRunsRequest())
    assert (where.agent_id, where.states, where.background, where.create_time_from) == (None, (), None, None)


def test_wrong_filters_are_told() -> None:
    request = run_service_pb2.ListRunsRequest(agent_id="x", create_time_before=Timestamp(seconds=2**60))
    request.states.extend([0, 40])  # type: ignore[list-item]  # numbers that have no name
    assert set(broken(lambda: requests.runs_query_from_pb(request))) == {
        "agent_id",
        "states[0]",
        "states[1]",
        "create_time_before",
    }


def test_more_tags_than_there_can_be_are_not_sought() -> None:
    tags = [str(number) for number in range(65)]
    assert broken(lambda: agents.agents_query_from_pb(agent_service_pb2.ListAgentsRequest(tags=tags))).keys() == {"tags"}
    assert broken(lambda: tools.tools_query_from_pb(tool_service_pb2.ListToolsRequest(tags=tags))).keys() == {"tags"}
    assert agents.agents_query_from_pb(agent_service_pb2.ListAgentsRequest(tags="ab" + "a" * 65))[2] == ("a", "b")


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive by rule
@settings(max_examples=50)
def test_a_time_survives_to_the_microsecond(time: datetime) -> None:
    assert timestamp_from_pb(timestamp_to_pb(time)) == time


@given(st.integers(0, 10**12).map(lambda micros: micros / 1_000_000))
@settings(max_examples=50)
def test_a_duration_survives_to_the_microsecond(seconds: float) -> None:
    assert seconds_from_pb(seconds_to_pb(seconds)) == seconds
