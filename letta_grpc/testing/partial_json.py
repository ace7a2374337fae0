"""What every PartialJson promises."""
# ruff: noqa: S101, D102 - assert is what a contract does, and the names say what is promised

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.ports.partial_json import PartialJson, PartialStrings

_KEYS = ("thinking", "message")
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_VALUES = st.one_of(_TEXT, st.integers(), st.none(), st.lists(_TEXT, max_size=3), st.dictionaries(_TEXT, _TEXT, max_size=3))
_OBJECTS = st.dictionaries(st.sampled_from([*_KEYS, "other", 'q"\\']), _VALUES)
_CUTS = st.lists(st.integers(0, 400), max_size=40)


def read(reader: PartialStrings, pieces: Sequence[str]) -> dict[str, str]:
    """Return the joined additions of each key."""
    joined: dict[str, str] = dict.fromkeys(_KEYS, "")
    for piece in pieces:
        for key, text in reader.feed(piece):
            joined[key] += text
    for key, text in reader.finish():
        joined[key] += text
    return joined


def cut(text: str, cuts: Sequence[int]) -> list[str]:
    """Return a text in pieces."""
    places = sorted({place for place in cuts if place < len(text)} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(places)]


class PartialJsonContract:
    """What a PartialJson promises. A subclass gives one as the attribute `partial_json`; it has no state."""

    partial_json: PartialJson

    @given(members=_OBJECTS, cuts=_CUTS, ascii_only=st.booleans())
    def test_any_cuts_give_the_same_values(
        self,
        members: dict[str, object],
        cuts: list[int],
        ascii_only: bool,  # noqa: FBT001 - drawn
    ) -> None:
        text = json.dumps(members, ensure_ascii=ascii_only)
        expected = {key: value if isinstance(value := members.get(key), str) else "" for key in _KEYS}
        assert read(self.partial_json.strings(_KEYS), cut(text, cuts)) == expected
        assert read(self.partial_json.strings(_KEYS), list(text)) == expected

    @given(
        pieces=st.lists(
            st.one_of(st.sampled_from(['{"', "message", '":"', '"', "}", "\\", "\\u", "d83d", "[", ","]), st.text())
        )
    )
    def test_nothing_makes_it_fail(self, pieces: list[str]) -> None:
        for text in read(self.partial_json.strings(_KEYS), pieces).values():
            text.encode()

    def test_text_comes_while_the_string_is_open(self) -> None:
        reader = self.partial_json.strings(_KEYS)
        pieces = ['{"thin', 'king": "Hm', '", "message":"', "Hel", "lo", '"', "}"]
        assert [list(reader.feed(piece)) for piece in pieces] == [
            [],
            [("thinking", "Hm")],
            [],
            [("message", "Hel")],
            [("message", "lo")],
            [],
            [],
        ]
        assert list(reader.finish()) == []

    def test_one_piece_can_add_to_two_values(self) -> None:
        reader = self.partial_json.strings(_KEYS)
        assert list(reader.feed('{"thinking": "a", "message": "b')) == [("thinking", "a"), ("message", "b")]

    def test_half_an_escape_waits_for_its_other_half(self) -> None:
        reader = self.partial_json.strings(_KEYS)
        pieces = ['{"message":"x\\', "nz", "\\ud8", "3d", "\\ude", '00"', "}"]
        assert [text for piece in pieces for _, text in reader.feed(piece)] == ["x", "\nz", "😀"]

    def test_of_a_repeated_key_the_first_value_counts(self) -> None:
        text = '{"message": "first", "message": "second"}'
        assert read(self.partial_json.strings(_KEYS), [text])["message"] == "first"
        assert read(self.partial_json.strings(_KEYS), list(text))["message"] == "first"

    def test_members_of_members_do_not_count(self) -> None:
        assert read(self.partial_json.strings(_KEYS), list('{"other": {"message": "x"}}'))["message"] == ""

    def test_line_ends_as_they_are_are_read_in_the_end(self) -> None:
        assert read(self.partial_json.strings(_KEYS), list('{"message": "a\nb"}'))["message"] == "a\nb"

    def test_half_a_pair_of_surrogates_can_be_encoded(self) -> None:
        assert read(self.partial_json.strings(_KEYS), list('{"message": "a\\ud83d b"}'))["message"].startswith("a")

    def test_what_breaks_off_keeps_what_was_there(self) -> None:
        assert read(self.partial_json.strings(_KEYS), ['{"message": "a', "b"])["message"] == "ab"

    @pytest.mark.parametrize("before", ["", '"other": [1, {"x": "y"}], ', '"other": "z", ', f'"other": {list(range(2000))}, '])
    def test_long_values_are_read_whole(self, before: str) -> None:
        value = 'line\n"quoted" \\ ünï 😀 ' * 500
        for ascii_only in (True, False):
            rest = json.dumps({"message": value, "thinking": value[:2000]}, ensure_ascii=ascii_only)[1:]
            text = f"{{{before}{rest}"
            pieces = [text[place : place + 7] for place in range(0, len(text), 7)]
            reader = self.partial_json.strings(_KEYS)
            additions = [addition for piece in pieces for addition in reader.feed(piece)]
            assert "".join(text for key, text in additions if key == "message") == value
            assert "".join(text for key, text in additions if key == "thinking") == value[:2000]
            assert max(len(text) for _, text in additions) <= len(text) // 8
