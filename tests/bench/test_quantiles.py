import pytest

from letta_grpc.bench.quantiles import paired_ratio, quantile


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1, 100)])
def test_a_quantile_is_the_sample_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert quantile([*range(100, 0, -1)], share) == expected


def test_every_quantile_of_one_sample_is_that_sample() -> None:
    assert {quantile([7.5], share) for share in (0.01, 0.5, 1)} == {7.5}


@pytest.mark.parametrize("share", [0, -0.1, 1.01])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        quantile([1], share)


def test_nothing_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        quantile([], 0.5)


def test_a_drift_that_hits_both_sides_of_a_round_leaves_the_ratio_alone() -> None:
    assert paired_ratio([1, 10, 100], [2, 20, 200]) == 0.5


def test_one_disturbed_round_does_not_make_the_ratio() -> None:
    assert paired_ratio([1, 1, 50], [2, 2, 2]) == 0.5


def test_a_round_without_its_partner_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1, 2], [1])
