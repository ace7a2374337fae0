"""Requests that break rules, and ids for those that break none."""

from collections.abc import Callable

import pytest

from letta_grpc.domain.errors import InvalidRequest

AGENT = "agent-00000000-0000-4000-8000-000000000001"
CONVERSATION = "conv-00000000-0000-4000-8000-000000000001"
RUN = "run-00000000-0000-4000-8000-000000000001"
BLOCK = "block-00000000-0000-4000-8000-000000000001"
REQUEST_ID = "6f1c0a52-1111-4222-8333-ABCDEFABCDEF"


def broken(read: Callable[[], object]) -> dict[str, str]:
    """The rules that a request breaks, by the paths of its fields."""
    with pytest.raises(InvalidRequest) as refused:
        read()
    return refused.value.fields
