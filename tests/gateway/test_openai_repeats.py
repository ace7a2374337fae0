"""Which tries of SDKs are one request: what is remembered of them, without a server."""

from letta_grpc.gateway.faces.openai.repeats import PAUSE_SECONDS, Attempt, Repeats
from tests.requirements.registry import requirement


def attempt_of(repeats: Repeats, retry: int = 0, text: str = "x", **headers: str) -> Attempt:
    return repeats.attempt({"x-stainless-retry-count": str(retry), "x-stainless-timeout": "0"} | headers, text)


@requirement("openai_repeats")
def test_one_repeat_goes_on_with_one_try_that_was_given_up_and_a_first_try_with_none() -> None:
    repeats = Repeats(lambda: 0.0)
    tries = [attempt_of(repeats, retry=0) for _ in range(2)]
    assert attempt_of(repeats, retry=1).key not in {one.key for one in tries}
    assert all(one.leave() for one in tries)
    others = [attempt_of(repeats), attempt_of(repeats, 1, "another"), attempt_of(repeats, 1, authorization="Bearer another")]
    assert not {one.key for one in tries} & {one.key for one in others}
    again = [attempt_of(repeats, retry=1) for _ in range(3)]
    assert [one.key for one in again[:2]] == [one.key for one in tries]
    assert again[2].key not in {one.key for one in tries}
    assert again[0].leave()
    assert attempt_of(repeats, retry=2).key == again[0].key


@requirement("openai_repeats")
def test_tries_are_forgotten_with_their_runs_and_beyond_a_thousand() -> None:
    now = 0.0
    repeats = Repeats(lambda: now)
    assert (first := attempt_of(repeats)).leave()
    now = PAUSE_SECONDS + 1
    assert attempt_of(repeats, 1).key != first.key
    tries = [attempt_of(repeats, 0, str(number)) for number in range(1001)]
    assert all(one.leave() for one in tries)
    assert attempt_of(repeats, 1, "0").key != tries[0].key
    assert attempt_of(repeats, 1, "1").key == tries[1].key
