"""Quantiles of what was measured, by nearest rank: each is a value that really occurred."""

import math
from collections.abc import Sequence
from statistics import median


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least `share` of all samples do not exceed. Raises ValueError without samples."""
    if not samples:
        raise ValueError("no samples")
    if not 0 < share <= 1:
        raise ValueError(f"a share is above 0 and at most 1, not {share}")
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


def paired_ratio(ours: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the median of the ratios of rounds that ran next to each other: what drifts from round to round cancels out."""
    return median(mine / other for mine, other in zip(ours, baseline, strict=True))
