from letta_grpc.domain.arguments import as_json, can_be_sent, merged, object_in, text_of


def test_what_is_no_object_has_no_members() -> None:
    assert object_in("[1]") is None
    assert object_in('{"a"') is None
    assert object_in("[" * 100_000) is None
    assert object_in("") == {}


def test_line_ends_may_stand_in_strings_as_they_are() -> None:
    assert object_in('{"a": "x\ny"}') == {"a": "x\ny"}


def test_line_ends_in_strings_become_what_every_reader_of_json_takes() -> None:
    assert as_json('{"a": "x\ny"}') == '{"a": "x\\ny"}'


def test_all_other_arguments_stay_as_they_were_written() -> None:
    for text in ("", '{"a":\n 1}', '{"a": "x\ny"', '["x\ny"]', "[" * 100_000):
        assert as_json(text) == text


def test_half_a_surrogate_pair_can_be_sent_on() -> None:
    assert text_of(object_in('{"a": "\\ud83d"}') or {}) == '{"a": "?"}'


def test_what_python_alone_reads_as_json_cannot_be_sent() -> None:
    assert can_be_sent(object_in('{"a": [1, 2.5, null, "\\ud83d\\ude00"]}'))
    for text in ('{"a": NaN}', '{"a": [-Infinity]}', '{"a": 1e400}', '{"a": "\\ud83d"}'):
        assert not can_be_sent(object_in(text))


def test_nothing_given_leaves_what_was_written() -> None:
    assert merged("{ }", None) == "{ }"
    assert merged("{ }", "") == "{ }"


def test_given_arguments_stand_over_those_that_the_model_writes() -> None:
    assert merged('{"x": 2, "y": "ü"}', '{"x": 1}') == '{"x": 1, "y": "ü"}'
    assert merged('{"x', '{"x": 1}') == '{"x": 1}'
    assert merged('{"y": 2}', "[1]") == '{"y": 2}'
