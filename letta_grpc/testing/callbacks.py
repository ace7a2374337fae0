"""What every CallbackSender promises."""
# ruff: noqa: S101, D102 - assert is what a contract does, and the names say what is promised

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from letta_grpc.ports.callbacks import CallbackSender

# Starts a receiver that answers with this status line, and headers behind it; returns its address, and a function that waits
# for the body that it is sent.
Receive = Callable[[str], Awaitable[tuple[str, Callable[[], Awaitable[bytes]]]]]

_SECONDS = 20


class CallbackSenderContract:
    """What a CallbackSender promises. A subclass gives the fixtures `sender` and `receive`."""

    @pytest.mark.parametrize("answer", ["200 OK", "204 No Content", "404 Not Found", "503 Service Unavailable"])
    async def test_a_receiver_gets_the_text_and_its_status_is_told(
        self, sender: CallbackSender, receive: Receive, answer: str
    ) -> None:
        url, got = await receive(answer)
        sender.check(url)
        outcome = await sender.post(url, '{"word": "é"}')
        assert (outcome.status_code, outcome.error) == (int(answer[:3]), None)
        assert await got() == '{"word": "é"}'.encode()

    async def test_a_redirect_is_an_answer_like_any_other(self, sender: CallbackSender, receive: Receive) -> None:
        url, got = await receive("307 Temporary Redirect\r\nlocation: /elsewhere")
        assert (await sender.post(url, "{}")).status_code == 307  # noqa: PLR2004 - see above
        assert await got() == b"{}"

    @pytest.mark.parametrize("url", ["http://", "https://[", "file:///etc/passwd", "http://127.0.0.1:1/", "http://a\x00b/"])
    async def test_an_address_where_nobody_is_is_told_in_time(self, sender: CallbackSender, url: str) -> None:
        async with asyncio.timeout(_SECONDS):
            outcome = await sender.post(url, "{}")
        assert outcome.status_code is None
        assert outcome.error
