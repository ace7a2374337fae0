from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.ids import MessageId, new_message_id, previous_message_id
from tests.requirements.registry import requirement


@given(st.integers(1, 2**128 - 1))
def test_the_id_below_is_one_less_as_a_number_and_always_the_same(number: int) -> None:
    below = previous_message_id(MessageId(f"message-{UUID(int=number)}"))
    assert below == f"message-{UUID(int=number - 1)}"
    assert below == previous_message_id(MessageId(f"message-{UUID(int=number)}"))


def test_a_borrow_goes_through_all_digits_and_dashes() -> None:
    above = MessageId("message-00000001-0000-0000-0000-000000000000")
    assert previous_message_id(above) == "message-00000000-ffff-ffff-ffff-ffffffffffff"


def test_a_new_id_always_has_one_below() -> None:
    for _ in range(100):
        message_id = new_message_id()
        assert previous_message_id(message_id) != message_id


@requirement("defect_no_id_below")
@pytest.mark.parametrize(
    "wrong",
    [
        f"message-{UUID(int=0)}",
        "message",
        "message-",
        "",
        "message-x",
        f"run-{UUID(int=7)}",
        f"message-{UUID(int=7).hex}",
        f"message-{UUID(int=7)}-x",
    ],
)
def test_what_has_no_id_below_it_is_a_value_error(wrong: str) -> None:
    with pytest.raises(ValueError, match="there is no id below"):
        previous_message_id(MessageId(wrong))
