"""What can be repeated is counted before it is judged: one request can have millions of anything."""

from collections.abc import Collection, Iterator

import pytest

from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.transport.convert.agents import agent_update_from_pb, new_agent_from_pb
from letta_grpc.transport.convert.inputs import input_from_pb
from letta_grpc.transport.convert.requests import runs_query_from_pb, start_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.convert.streams import streams_from_pb
from letta_grpc.v1 import agent_service_pb2, agents_pb2, blocks_pb2, messages_pb2, run_service_pb2, runs_pb2

AGENT = "agent-00000000-0000-4000-8000-000000000000"
SAID = messages_pb2.InputMessage(user=messages_pb2.UserInput(text="a"))


class Endless(Collection[str]):
    """As many as a request can have, of which no more may be looked at than there may be."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __len__(self) -> int:
        return 2_000_000

    def __contains__(self, item: object) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        for _ in range(self.most):
            yield "a"
        pytest.fail("more was looked at than there may be")


def fields_of_start(*messages: messages_pb2.InputMessage) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        start_from_pb(run_service_pb2.CreateRunRequest(agent_id=AGENT, run=runs_pb2.RunSpec(messages=messages)), None)
    return refused.value.fields


@pytest.mark.parametrize("read", ["at_most", "names", "tags"])
def test_no_more_is_looked_at_than_there_may_be(read: str) -> None:
    rules = Rules()
    getattr(rules, read)("tags", Endless(5), 5)
    with pytest.raises(InvalidRequest) as refused, rules:
        pass
    assert refused.value.fields == {"tags": "must have at most 5, has 2000000"}


def test_a_start_has_at_most_a_thousand_messages() -> None:
    with Rules() as rules:
        assert len(input_from_pb(rules, "messages", [SAID] * 1000)) == 1000
    assert fields_of_start(*[SAID] * 1001) == {"run.messages": "must have at most 1000, has 1001"}


def pieces(count: int, kind: str) -> messages_pb2.InputMessage:
    message = messages_pb2.InputMessage()
    parts = [messages_pb2.ContentPart(text="a")] * count
    match kind:
        case "user":
            message.user.content.parts.extend(parts)
        case "system":
            message.system.content.parts.extend(parts)
        case "approval":
            message.approval.decisions.extend(messages_pb2.Decision() for _ in range(count))
        case "returns":
            message.tool_returns.returns.extend(messages_pb2.ToolReturn() for _ in range(count))
        case _:
            message.tool_returns.returns.add().content.parts.extend(parts[1:])
    return message


@pytest.mark.parametrize("kind", ["user", "system", "approval", "returns", "parts of a return"])
def test_the_pieces_of_a_start_are_counted_together_and_first(kind: str) -> None:
    found = fields_of_start(pieces(2001, kind), pieces(2000, kind))
    assert found == {"run.messages": "must have at most 4000 texts, parts, decisions and returns in all, has 4001"}


def test_the_pieces_of_several_starts_are_counted_together() -> None:
    start = run_service_pb2.RunStart(agent_id=AGENT, run=runs_pb2.RunSpec(messages=[SAID] * 1000))
    streams_from_pb(run_service_pb2.StreamRunsRequest(starts=[start] * 4), None)
    with pytest.raises(InvalidRequest) as refused:
        streams_from_pb(run_service_pb2.StreamRunsRequest(starts=[start] * 5), None)
    assert refused.value.fields == {"starts": "must have at most 4000 texts, parts, decisions and returns in all, has 5000"}


def test_of_too_many_broken_rules_the_first_are_told_and_that_there_may_be_more() -> None:
    found = fields_of_start(*[messages_pb2.InputMessage()] * 1000)
    assert len(found) == 33
    assert list(found)[31:] == ["run.messages[31]", "…"]
    assert found["…"] == "there may be more, which was not looked at"


def test_too_many_blocks_are_told_by_their_number() -> None:
    blocks = [blocks_pb2.Block(label=f"b{number}") for number in range(65)]
    with pytest.raises(InvalidRequest) as refused:
        new_agent_from_pb(
            agent_service_pb2.CreateAgentRequest(agent=agents_pb2.Agent(model="scripted/echo", memory_blocks=blocks))
        )
    assert refused.value.fields == {"agent.memory_blocks": "must have at most 64, has 65"}


def test_a_listing_asks_for_no_more_states_than_there_are() -> None:
    with pytest.raises(InvalidRequest) as refused:
        runs_query_from_pb(run_service_pb2.ListRunsRequest(states=[runs_pb2.RUN_STATE_QUEUED] * 100))
    assert refused.value.fields == {"states": "must have at most 6, has 100"}


def test_a_mask_names_no_more_fields_than_there_are() -> None:
    request = agent_service_pb2.UpdateAgentRequest(agent_id=AGENT)
    request.update_mask.paths.extend(["name"] * 100)
    with pytest.raises(InvalidRequest) as refused:
        agent_update_from_pb(request)
    assert refused.value.fields["update_mask"] == "must have at most 15, has 100"


def test_decisions_are_bounded_together() -> None:
    """Each may be small, and the message that they make too large for every list of messages."""
    message = messages_pb2.InputMessage()
    for number in range(5):
        decision = message.approval.decisions.add(tool_call_id=f"call-{number}")
        decision.approve.arguments = '{"x": "' + "y" * 250_000 + '"}'
    assert fields_of_start(message) == {
        "run.messages[0].approval.decisions": f"must have at most 1048576 bytes in all, has {message.approval.ByteSize()}"
    }
    del message.approval.decisions[-1]
    with Rules() as rules:
        input_from_pb(rules, "messages", [message])
