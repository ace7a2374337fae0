from collections.abc import Sequence

import pytest

from letta_grpc.adapters.jiter import Jiter, JiterStrings
from letta_grpc.ports.partial_json import Addition
from letta_grpc.testing.partial_json import PartialJsonContract


class TestJiter(PartialJsonContract):
    partial_json = Jiter()


@pytest.mark.parametrize("piece", ["word ", "\\u00e9\\n", "\\ud83d\\ude00"])
def test_a_long_string_is_not_parsed_again_with_every_piece(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = 0
    plain = JiterStrings._read  # noqa: SLF001 - how much it parses is the point

    def counting(self: JiterStrings) -> Sequence[Addition]:
        nonlocal parsed
        parsed += len(self._text)
        return plain(self)

    monkeypatch.setattr(JiterStrings, "_read", counting)
    reader, pieces = JiterStrings(["message"]), 20_000
    reader.feed('{"message": "')
    for _ in range(pieces):
        reader.feed(piece[:3])
        reader.feed(piece[3:])
    assert parsed < pieces * 2 * 2000
