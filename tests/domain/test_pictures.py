from base64 import b64encode

import pytest

from letta_grpc.domain.messages import ImagePart, TextPart
from letta_grpc.domain.pictures import content_bytes, picture_bytes, picture_type


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"<svg/>", None),
        (b"", None),
    ],
)
def test_the_type_of_a_picture_is_what_its_bytes_say(data: bytes, media_type: str | None) -> None:
    assert picture_type(data) == media_type


@pytest.mark.parametrize("size", range(7))
def test_a_content_is_as_large_as_its_bytes_and_not_as_their_base64(size: int) -> None:
    picture = ImagePart(media_type="image/png", data=b64encode(b"x" * size).decode())
    assert picture_bytes(picture) == size
    assert content_bytes([picture, TextPart("é")]) == size + 2
