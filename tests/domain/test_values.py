import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from letta_grpc.domain.errors import InvalidRequest, LettaError, RunNotFound
from letta_grpc.domain.fingerprint import fingerprint
from letta_grpc.domain.frames import skip_frames, split_frames, take_frames
from letta_grpc.domain.ids import is_id, new_agent_id, new_run_id, new_tool_call_id
from letta_grpc.domain.messages import ApprovalInput, Approve, Deny, ReasoningPart, Role
from letta_grpc.domain.runs import FINAL_STATES, OPEN_STATES, RunSpec, RunState
from letta_grpc.domain.usage import Timing, Usage
from tests.support.values import assistant, spec, text

_ID = "run-5f0c8a52-3b7e-4d19-9c64-1e2f3a4b5c6d"


@pytest.mark.parametrize("wrong", ["", "run", "run-", "run-1", f"agent-{_ID[4:]}", _ID.upper(), f"{_ID}0", f"{_ID}\n"])
def test_what_is_not_of_the_one_spelling_is_no_id(wrong: str) -> None:
    assert is_id("run", _ID)
    assert not is_id("run", wrong)


def test_new_ids_are_ids_of_their_kind() -> None:
    assert is_id("run", new_run_id())
    assert is_id("agent", new_agent_id())
    assert not is_id("run", new_agent_id())
    assert new_tool_call_id() != new_tool_call_id()
    assert re.fullmatch("call_[0-9a-f]{32}", new_tool_call_id())


def test_the_same_payload_has_the_same_fingerprint() -> None:
    assert fingerprint("agent", None, spec("hi", metadata={"a": "1", "b": "2"})) == fingerprint(
        "agent", None, spec("hi", metadata={"b": "2", "a": "1"})
    )


@pytest.mark.parametrize(
    "other",
    [
        ("agent-2", None, spec("hi")),
        ("agent", "conv", spec("hi")),
        ("agent", None, spec("ho")),
        ("agent", None, spec("hi", max_steps=3)),
        ("agent", None, spec("hi", run_timeout=timedelta(seconds=9))),
        ("agent", None, RunSpec(messages=(text("hi", Role.SYSTEM),))),
        ("agent", None, spec("hi", metadata={"a": "1"})),
    ],
)
def test_another_payload_has_another_fingerprint(other: tuple[str, str | None, RunSpec]) -> None:
    assert fingerprint(*other) != fingerprint("agent", None, spec("hi"))


def test_an_approval_and_a_denial_of_the_same_call_have_different_fingerprints() -> None:
    approval, denial = (
        RunSpec(messages=(ApprovalInput(decisions=(decision,)),))
        for decision in (Approve(tool_call_id="1"), Deny(tool_call_id="1"))
    )
    assert fingerprint("agent", None, approval) != fingerprint("agent", None, denial)


def test_a_field_at_its_default_does_not_change_the_fingerprint() -> None:
    assert fingerprint("agent", None, spec("hi", max_steps=50)) == fingerprint("agent", None, spec("hi"))


FRAMES = st.lists(st.binary(max_size=300), max_size=12)


def framed(payloads: list[bytes]) -> list[bytes]:
    frames = []
    for payload in payloads:
        length, size = b"", len(payload)
        while size >= 0x80:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        frames.append(b"\x1a" + length + bytes([size]) + payload)
    return frames


@given(FRAMES, st.integers(-1, 13))
@example([b"", b"x" * 200], -1)
@example([b"", b"x" * 200], 1)
@example([b"", b"x" * 200], 3)
def test_frames_split_and_skip_where_they_were_joined(payloads: list[bytes], count: int) -> None:
    frames = framed(payloads)
    joined = b"".join(frames)
    assert list(split_frames(joined)) == frames
    assert skip_frames(joined, count) == b"".join(frames[max(count, 0) :])


@given(FRAMES, st.integers(0, 2000))
def test_as_many_frames_are_taken_as_fit_and_at_least_one(payloads: list[bytes], limit: int) -> None:
    frames = framed(payloads)
    count, taken = take_frames(b"".join(frames), limit)
    assert taken == b"".join(frames[:count])
    assert count >= min(1, len(frames))
    assert count <= 1 or len(taken) <= limit
    assert count == len(frames) or len(b"".join(frames[: count + 1])) > limit


def test_usage_that_nobody_reported_stays_unreported() -> None:
    assert Usage() + Usage() == Usage()
    assert Usage(prompt_tokens=0) + Usage() == Usage(prompt_tokens=0)
    assert Usage(context_tokens=3) + Usage() == Usage(context_tokens=3)


def test_states_are_open_or_final() -> None:
    assert set(RunState) == FINAL_STATES | OPEN_STATES
    assert RunState.COMPLETED.is_final
    assert not RunState.QUEUED.is_final


def test_an_error_says_what_its_class_says_unless_told_otherwise() -> None:
    assert RunNotFound(run_id="run-1").message == "There is no such run."
    assert RunNotFound(run_id="run-1").metadata == {"run_id": "run-1"}
    assert str(LettaError("other")) == "other"


def test_an_invalid_request_names_its_fields() -> None:
    assert str(InvalidRequest(fields={"a.b": "must be there", "c": "is negative"})) == "a.b: must be there; c: is negative"
    assert str(InvalidRequest()) == "The request breaks a rule."


def test_the_text_of_a_message_leaves_reasoning_out() -> None:
    message = assistant("a", words="hello")
    assert message.text == "hello"
    assert replace(message, content=(ReasoningPart("hm"),)).text == ""


@pytest.mark.parametrize(
    ("first", "last", "completion_tokens", "timing"),
    [
        (None, None, 10, Timing(total=4.0)),
        (2_000, 4_000, 10, Timing(time_to_first_token=1.0, total=4.0, tokens_per_second=5.0)),
        (2_000, 2_000, 10, Timing(time_to_first_token=1.0, total=4.0)),
        (2_000, 4_000, None, Timing(time_to_first_token=1.0, total=4.0)),
    ],
)
def test_a_rate_is_told_where_tokens_took_time(
    first: int | None, last: int | None, completion_tokens: int | None, timing: Timing
) -> None:
    first_ns, last_ns = (None if time is None else time * 1_000_000 for time in (first, last))
    usage = Usage(completion_tokens=completion_tokens)
    assert Timing.between(10**9, 5 * 10**9, first_token_ns=first_ns, last_token_ns=last_ns, usage=usage) == timing


def test_nobody_knows_how_long_it_took_when_the_clock_was_put_back() -> None:
    back = Timing.between(4 * 10**9, 10**9, first_token_ns=5 * 10**9, last_token_ns=10**9, usage=Usage(completion_tokens=10))
    assert back == Timing(time_to_first_token=1.0)
