"""What every ImageLoader promises."""
# ruff: noqa: S101, D102 - assert is what a contract does, and the names say what is promised

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable

import pytest

from letta_grpc.ports.images import ImageLoader, ImageUnavailableError

# Puts a picture, or whatever else, where the loader finds it; returns its address.
Put = Callable[[bytes], Awaitable[str]]

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f00010101005a4d6ff1"
    "0000000049454e44ae426082"
)
_SECONDS = 20


class ImageLoaderContract:
    """What an ImageLoader promises. A subclass gives the fixtures `loader` and `put`."""

    async def test_a_picture_comes_with_its_bytes_and_without_its_address(self, loader: ImageLoader, put: Put) -> None:
        picture = await loader.load(await put(PNG), 1000)
        assert (b64decode(picture.data), picture.media_type, picture.url) == (PNG, "image/png", "")

    async def test_the_type_is_what_the_bytes_say(self, loader: ImageLoader, put: Put) -> None:
        picture = await loader.load(await put(b"GIF89a" + b"x" * 20), 1000)
        assert picture.media_type == "image/gif"

    async def test_a_picture_of_just_the_size_comes_and_a_larger_one_does_not(self, loader: ImageLoader, put: Put) -> None:
        url = await put(PNG)
        await loader.load(url, len(PNG))
        with pytest.raises(ImageUnavailableError):
            await loader.load(url, len(PNG) - 1)

    async def test_what_is_no_picture_does_not_come(self, loader: ImageLoader, put: Put) -> None:
        url = await put(b"<html>root:x:0:0</html>")
        with pytest.raises(ImageUnavailableError) as refused:
            await loader.load(url, 1000)
        assert "root" not in str(refused.value)

    @pytest.mark.parametrize("url", ["http://", "https://[", "file:///etc/passwd", "http://127.0.0.1:1/", "http://a\x00b/"])
    async def test_an_address_where_nothing_is_is_told_in_time(self, loader: ImageLoader, url: str) -> None:
        async with asyncio.timeout(_SECONDS):
            with pytest.raises(ImageUnavailableError):
                await loader.load(url, 1000)
