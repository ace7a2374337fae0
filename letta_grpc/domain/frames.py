"""Cutting a row of frames: each a tag byte, a length as a varint, and that many bytes (protobuf's length-delimited field).

Source: Protocol Buffers encoding, "Length-Delimited Records".
"""

from collections.abc import Iterator


def frame_ends(frames: bytes) -> Iterator[int]:
    """Yield the offset behind each frame, in order."""
    position = 0
    while position < len(frames):
        position += 1
        length = shift = 0
        while True:
            byte = frames[position]
            position += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the varint's continuation bit
                break
            shift += 7
        position += length
        yield position


def split_frames(frames: bytes) -> Iterator[bytes]:
    """Yield each frame."""
    start = 0
    for end in frame_ends(frames):
        yield frames[start:end]
        start = end


def skip_frames(frames: bytes, count: int) -> bytes:
    """Return what is left behind the first `count` frames."""
    if count <= 0:
        return frames
    for number, end in enumerate(frame_ends(frames), start=1):
        if number == count:
            return frames[end:]
    return b""


def take_frames(frames: bytes, max_bytes: int) -> tuple[int, bytes]:
    """Return how many whole frames fit into `max_bytes`, at least one if there is any, and those frames."""
    count = cut = 0
    for end in frame_ends(frames):
        if count and end > max_bytes:
            break
        count, cut = count + 1, end
    return count, frames[:cut]
