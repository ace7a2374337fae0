"""Cutting a message's bytes into its fields without decoding them: equal bytes need to be printed only once.

Source: Protocol Buffers encoding, "Message Structure".
"""

from collections.abc import Iterator
from typing import NamedTuple

_CONTINUES = 0x80
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class At(NamedTuple):
    """The number of a field, and where in its bytes the value begins."""

    number: int
    value: int


def fields_on_the_wire(body: bytes) -> Iterator[tuple[At, bytes]]:
    """Yield each field of a message. Raises ValueError or IndexError if it is none."""
    position, end = 0, len(body)
    while position < end:
        start = position
        tag, position = _varint(body, position)
        kind = tag & 7
        if kind == _LENGTH:
            size, position = _varint(body, position)
            value, position = position, position + size
        elif kind == _VARINT:
            value = position
            _, position = _varint(body, position)
        elif kind in {_FIXED64, _FIXED32}:
            value, position = position, position + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"no field begins with {tag}")
        if position > end:
            raise ValueError("the message is cut")
        yield At(tag >> 3, value - start), body[start:position]


def split(body: bytes, number: int) -> tuple[list[bytes], bytes]:
    """Return the values of a field that holds messages, and all other fields as they stand."""
    values, rest = [], []
    for at, field in fields_on_the_wire(body):
        if at.number == number:
            values.append(field[at.value :])
        else:
            rest.append(field)
    return values, b"".join(rest)


def tag_of(number: int) -> bytes:
    """Return what a field that holds messages begins with."""
    tag = number << 3 | _LENGTH
    return bytes([tag]) if tag < _CONTINUES else bytes([tag & 0x7F | _CONTINUES, tag >> 7])


def elements_from(body: bytes, position: int, tag: bytes) -> list[bytes] | None:
    """Return the values of one field from a position to the end; None if there is anything else."""
    values, end, width = [], len(body), len(tag)
    while position < end:
        if not body.startswith(tag, position):
            return None
        size, start = _varint(body, position + width)
        position = start + size
        values.append(body[start:position])
    return values if position == end else None


def _varint(body: bytes, position: int) -> tuple[int, int]:
    byte = body[position]
    if byte < _CONTINUES:
        return byte, position + 1
    number = shift = 0
    while True:
        byte = body[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < _CONTINUES:
            return number, position
        shift += 7
