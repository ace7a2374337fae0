from letta_grpc.domain.arguments import merged, object_in, text_of


def test_what_is_no_object_has_no_members() -> None:
    assert object_in("[1]") is None
    assert object_in('{"a"') is None
    assert object_in("[" * 100_000) is None
    assert object_in("") == {}


def test_line_ends_may_stand_in_strings_as_they_are() -> None:
    assert object_in('{"a": "x\ny"}') == {"a": "x\ny"}


def test_half_a_surrogate_pair_can_be_sent_on() -> None:
    text_of(object_in('{"a": "\\ud83d"}') or {}).encode()


def test_nothing_given_leaves_what_was_written() -> None:
    assert merged("{ }", None) == "{ }"
    assert merged("{ }", "") == "{ }"
