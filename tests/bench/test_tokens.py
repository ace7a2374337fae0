import pytest

from letta_grpc.bench.errors import TokensBrokenError
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.tokens import TokenCheck, now_us, token_text


def test_tokens_in_order_pass_however_they_are_merged() -> None:
    check = TokenCheck()
    check.take(token_text(0, 0))
    check.take(token_text(1, 0) + token_text(2, 0))
    assert check.finish(3) <= now_us()


@pytest.mark.parametrize("indexes", [[0, 2], [0, 0], [1], [0, 1, 0]], ids=["lost", "doubled", "late start", "repeated"])
def test_a_token_out_of_its_place_is_told(indexes: list[int]) -> None:
    check = TokenCheck()
    with pytest.raises(TokensBrokenError, match="was due"):
        check.take("".join(token_text(index, 0) for index in indexes))


def test_a_stream_that_ends_early_is_told() -> None:
    check = TokenCheck()
    check.take(token_text(0, 0))
    with pytest.raises(TokensBrokenError, match="1 of 2 tokens"):
        check.finish(2)


def test_a_stream_that_gives_too_much_is_told() -> None:
    check = TokenCheck()
    check.take(token_text(0, 0) + token_text(1, 0))
    with pytest.raises(TokensBrokenError, match="2 of 1 tokens"):
        check.finish(1)


def test_a_token_that_says_when_it_left_tells_how_long_it_travelled() -> None:
    check = TokenCheck()
    check.take(token_text(0, now_us() - 5000))
    check.take(token_text(1, 0))
    (travelled,) = check.travel_us
    assert 5000 <= travelled < 5_000_000


@pytest.mark.parametrize(
    "scenario", [Scenario(tokens=200, gap_ms=20), Scenario(tokens=1), Scenario(tokens=1, gap_ms=3, held=True)]
)
def test_a_scenario_survives_its_name(scenario: Scenario) -> None:
    assert Scenario.parse(scenario.model) == scenario


@pytest.mark.parametrize("name", ["gpt-4o", "bench-1", "bench-1-2-later", "bench--1-0"])
def test_another_model_is_no_scenario(name: str) -> None:
    with pytest.raises(ValueError, match="not a model"):
        Scenario.parse(name)
