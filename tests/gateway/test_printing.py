"""The fast way to ProtoJSON writes what the slow way writes."""

from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.gateway.descriptors import own_contract
from letta_grpc.gateway.frames import Frames
from letta_grpc.gateway.printing import dict_of, json_of
from letta_grpc.transport.convert.codec import ProtoEventCodec
from letta_grpc.v1 import events_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.support.made_up import new
from tests.support.values import events

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.integers(0, 2**31 - 1), st.integers(0, 4 * 10**18), events())
def test_every_event_is_printed_as_message_to_json_prints_it(number: int, time_ns: int, event: Any) -> None:  # noqa: ANN401 - a union
    message = parsed(ProtoEventCodec().encode(number, time_ns, event))
    assert orjson.loads(json_of(message)) == orjson.loads(json_format.MessageToJson(message))


@given(st.integers(0, 2**31 - 1), events())
def test_every_event_is_a_frame_with_the_responses_ids_in_it(number: int, event: Any) -> None:  # noqa: ANN401 - a union
    frame = ProtoEventCodec().encode(number, 1, event)
    rpc = next(rpc for rpc in own_contract().rpcs if rpc.name.endswith("/AttachRun"))
    (shown,) = Frames(rpc).of(pb.AttachRunResponse(run_id="r", agent_id="a").SerializeToString() + frame)
    message = parsed(frame)
    assert (shown.id, shown.event) == (number, message.WhichOneof("payload"))
    assert orjson.loads(shown.json) == {"runId": "r", "agentId": "a"} | orjson.loads(json_format.MessageToJson(message))
    assert b"\n" not in shown.json


def parsed(frame: bytes) -> events_pb2.RunEvent:
    return pb.AttachRunResponse.FromString(frame).events[0]


@st.composite
def nested(draw: st.DrawFn, depth: int = 2) -> Message:
    made: Message = new("SearchRequest.Nested", word=draw(TEXT), numbers=draw(st.lists(INT32, max_size=2)))
    if depth and draw(st.booleans()):
        made.deeper.CopyFrom(draw(nested(depth - 1)))  # type: ignore[attr-defined]  # a message without stubs
    return made


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message of a type that has every kind of field."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "text": TEXT,
        "tags": st.lists(TEXT, max_size=2),
        "genres": st.lists(st.integers(0, 4), max_size=3),
        "page_size": INT32,
        "big": INT64,
        "unsigned": st.integers(0, 2**64 - 1),
        "only_new": st.booleans(),
        "maybe": st.booleans(),
        "weight": st.floats(),
        "light": st.floats(width=32),
        "raw": st.binary(max_size=4),
        "nested": nested(),
        "many": st.lists(nested(), max_size=2),
        "counts": st.dictionaries(TEXT, INT64, max_size=2),
        "nothing": st.just(0),
        "that_one": INT32,
    }
    message = new("SearchRequest", **draw(st.fixed_dictionaries({}, optional=fields)))
    for key in draw(st.sets(st.booleans())):
        message.switches[key].CopyFrom(draw(nested()))
    if draw(st.booleans()):
        message.since.seconds = draw(st.integers(-62135596800, 253402300799))
        message.since.nanos = draw(st.sampled_from([0, 1, 1000, 1_000_000, 123_456_789, 999_999_999]))
    if draw(st.booleans()):
        message.within.seconds, message.within.nanos = draw(st.integers(0, 10**9)), draw(st.integers(0, 999_999_999))
    message.mask.paths.extend(draw(st.lists(st.sampled_from(["page_size", "nested.word"]), max_size=2)))
    if draw(st.booleans()):
        message.facts.update({"a": [1, None, {"b": draw(TEXT)}]})
        message.wrapped.value = draw(st.booleans())
        message.anything.number_value = 0.5
    return message  # type: ignore[no-any-return]  # a message without stubs


@given(messages())
def test_any_message_is_printed_as_message_to_json_prints_it(message: Message) -> None:
    slow = json_format.MessageToDict(message)
    assert same(dict_of(message), slow)
    assert same(orjson.loads(json_of(message)), slow)


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 - JSON
    """Equal, and of the same types: 1 and 1.0 and True are three things in JSON."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
