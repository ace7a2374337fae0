"""Pictures on the openai face."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.faces import Faced, faced

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
JPEG = b"\xff\xd8\xff\xe0"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faced]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server


async def test_pictures_come_as_parts(server: Faced) -> None:
    agent_id = await server.agent()
    url = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    answer = await server.http.post(CHAT, json={"model": agent_id, "messages": [{"role": "user", "content": parts}]})
    assert answer.json()["choices"][0]["message"]["content"] == "look"
    history = (await server.http.get(f"/api/v1/agents/{agent_id}/messages")).json()["messages"]
    assert base64.b64decode(history[0]["content"][1]["image"]["data"]) == PIXEL
    assert history[0]["content"][1]["image"]["mediaType"] == "image/png"
    parts[1]["image_url"] = {"url": "data:image/png;base64,???"}
    broken = await server.http.post(CHAT, json={"model": agent_id, "messages": [{"role": "user", "content": parts}]})
    assert (broken.status_code, broken.json()["error"]["param"]) == (400, "messages[-1].content[1]")
    for nothing in ("data:image/png;base64,", "data:image/png;base64,AAAA"):
        parts[1]["image_url"] = {"url": nothing}
        broken = await server.http.post(CHAT, json={"model": agent_id, "messages": [{"role": "user", "content": parts}]})
        assert (broken.status_code, broken.json()["error"]["param"]) == (400, "messages[-1].content[1].image_url.url")


async def test_a_picture_without_a_word_may_come_beside_an_empty_text(server: Faced) -> None:
    """As chats send it in which nothing is typed."""
    agent_id = await server.agent()
    url = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    parts: list[dict[str, Any]] = [{"type": "text", "text": ""}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"model": agent_id, "messages": [{"role": "user", "content": parts}]}
    answer = await server.http.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    history = (await server.http.get(f"/api/v1/agents/{agent_id}/messages")).json()["messages"]
    assert [list(part) for part in history[0]["content"]] == [["image"]]
    parts[1]["image_url"] = {"url": "ftp://x"}
    broken = await server.http.post(CHAT, json=body)
    assert (broken.status_code, broken.json()["error"]["param"]) == (400, "messages[-1].content[1].image_url.url")


@pytest.mark.parametrize("kind", ["image/jpg", "IMAGE/JPEG", "image/jpeg;name=cat.jpg"])
async def test_the_type_of_a_picture_may_be_written_as_clients_write_it(server: Faced, kind: str) -> None:
    agent_id = await server.agent()
    url = f"data:{kind};base64,{base64.b64encode(JPEG).decode()}"
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = await server.http.post(CHAT, json={"model": agent_id, "messages": [{"role": "user", "content": parts}]})
    assert answer.status_code == 200, answer.text
    history = (await server.http.get(f"/api/v1/agents/{agent_id}/messages")).json()["messages"]
    assert history[0]["content"][1]["image"]["mediaType"] == "image/jpeg"
