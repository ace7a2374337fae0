"""One text is one event, whatever is in it."""

import re

import orjson
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.gateway.formats import data_of
from tests.requirements.registry import requirement

TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\r\n: ")), max_size=20)
_LINE_ENDS = re.compile("\r\n|\r|\n")


def read(stream: bytes) -> list[str]:
    """What a reader makes of a stream, by the letter of the standard."""
    events, data = [], list[str]()
    for line in _LINE_ENDS.split(stream.decode())[:-1]:
        if not line:
            events.append("\n".join(data))
            data = []
            continue
        name, _, value = line.partition(":")
        assert name == "data"
        data.append(value.removeprefix(" "))
    assert not data
    return events


@requirement("tutorial_framing", "defect_framing")
@given(TEXT)
def test_a_text_is_one_event_with_its_lines(text: str) -> None:
    assert read(data_of(text)) == [_LINE_ENDS.sub("\n", text)]
    assert data_of(text.encode()) == data_of(text)


@given(TEXT)
def test_json_stays_on_one_line_and_is_read_as_it_was(text: str) -> None:
    framed = data_of(orjson.dumps({"content": text}))
    assert framed.count(b"\n") == 2
    (told,) = read(framed)
    assert orjson.loads(told) == {"content": text}


def test_the_end_of_openais_streams_is_what_it_has_to_be() -> None:
    assert data_of("[DONE]") == b"data: [DONE]\n\n"
