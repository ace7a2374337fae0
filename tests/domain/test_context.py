import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.context import (
    LOST_RETURN,
    compile_system,
    estimate_message_tokens,
    estimate_tokens,
    make_whole,
    package_return,
)
from letta_grpc.domain.ids import BlockId
from letta_grpc.domain.messages import Message, Role, ToolReturnStatus
from tests.support.values import NOW, assistant, returned, tool_message


def block(label: str, value: str, **changes: object) -> Block:
    return Block(id=BlockId("block-1"), label=label, value=value, create_time=NOW, update_time=NOW, **changes)  # type: ignore[arg-type]  # any field


def test_the_system_prompt_is_the_instructions_when_there_is_no_memory() -> None:
    assert compile_system("Be kind.", ()) == "Be kind."


def test_every_block_stands_in_the_system_prompt_with_label_size_and_access() -> None:
    system = compile_system(
        "Be kind.", [block("human", "Ada", limit=10), block("rules", "x", read_only=True, description="Law")]
    )
    assert system.startswith("Be kind.\n\n<memory>\n")
    assert '<block label="human" characters="3/10">\nAda\n</block>' in system
    assert '<block label="rules" characters="1/20000" read_only="true">\nLaw\nx\n</block>' in system


def test_a_whole_history_stays_as_it_is() -> None:
    history = (assistant("a", "1", "2"), tool_message("b", "1", "2"), assistant("c", words="done"))
    assert make_whole(history) == history


def test_a_call_without_a_return_gets_an_error_return() -> None:
    whole = make_whole([assistant("a", "1"), assistant("b", words="on")])
    assert [message.role for message in whole] == [Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]
    assert [(r.tool_call_id, r.status, r.text) for r in whole[1].tool_returns] == [("1", ToolReturnStatus.ERROR, LOST_RETURN)]


def test_a_return_without_a_call_is_left_out() -> None:
    assert make_whole([tool_message("a", "1"), assistant("b", words="on")]) == (assistant("b", words="on"),)


CALLS = st.lists(st.sampled_from("123456"), unique=True, max_size=3)


@given(st.lists(st.one_of(st.tuples(st.just("assistant"), CALLS), st.tuples(st.just("tool"), CALLS)), max_size=6))
def test_in_a_whole_history_every_call_has_its_one_return_right_behind_it(history: list[tuple[str, list[str]]]) -> None:
    messages = [
        assistant(str(i), *(f"{i}-{c}" for c in calls))
        if kind == "assistant"
        else tool_message(str(i), *(f"{i - 1}-{c}" for c in calls))
        for i, (kind, calls) in enumerate(history)
    ]
    open_calls: list[str] = []
    for message in make_whole(messages):
        if message.role is Role.TOOL:
            for answer in message.tool_returns:
                open_calls.remove(answer.tool_call_id)
        else:
            assert not open_calls
            open_calls = [call.id for call in message.tool_calls]
    assert not open_calls
    assert make_whole(make_whole(messages)) == make_whole(messages)


def test_a_packaged_return_is_json_with_status_message_and_local_time() -> None:
    packaged = package_return(returned("1", "naïve\x00"), datetime(2030, 1, 1, 12, tzinfo=UTC), "Europe/Berlin")
    assert json.loads(packaged) == {"status": "OK", "message": "naïve", "time": "2030-01-01 01:00:00 PM CET+0100"}
    assert "naïve" in packaged
    failed = package_return(returned("1", "no", ToolReturnStatus.ERROR), NOW, "UTC")
    assert json.loads(failed)["status"] == "Failed"


def test_tokens_are_estimated_by_length_rounded_up() -> None:
    assert [estimate_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
    message: Message = assistant("a", "1", words="four")
    assert estimate_message_tokens(message) == estimate_tokens("four" + "tool" + "{}")
