from pathlib import Path

import pytest

from letta_grpc.client import image, user
from letta_grpc.testing.images import PNG
from letta_grpc.v1 import messages_pb2


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF87arest", "image/gif"),
        (b"GIF89arest", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPrest", "image/webp"),
    ],
)
def test_a_picture_says_by_its_first_bytes_what_it_is(data: bytes, media_type: str, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(data)
    expected = messages_pb2.ContentPart(image=messages_pb2.Image(data=data, media_type=media_type))
    assert image(data) == expected
    assert image(tmp_path / "picture") == expected
    assert image(str(tmp_path / "picture")) == expected


def test_an_address_is_fetched_by_the_server() -> None:
    assert image(url="https://example.org/cat.png").image == messages_pb2.Image(url="https://example.org/cat.png")


def test_a_media_type_that_is_given_holds() -> None:
    assert image(b"something new", media_type="image/new").image.media_type == "image/new"


def test_what_is_no_picture_is_refused_here() -> None:
    with pytest.raises(ValueError, match="no PNG"):
        image(b"<svg/>")
    with pytest.raises(ValueError, match="a file, bytes, or a url"):
        image()
    with pytest.raises(ValueError, match="a file, bytes, or a url"):
        image(PNG, url="https://example.org/cat.png")


def test_a_message_has_its_parts_in_order() -> None:
    message = user("What is this?", image(PNG))
    assert [part.WhichOneof("kind") for part in message.user.content.parts] == ["text", "image"]
