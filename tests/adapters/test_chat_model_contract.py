import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.adapters.scripted import ScriptedProvider
from letta_grpc.domain.completions import ModelRequest
from letta_grpc.ports.models import ChatModel
from letta_grpc.testing.models import ChatModelContract, user_request
from tests.support.upstream import Upstream, running_upstream

ARGUMENTS = '{"word": "gr\\u00fc\\u00dfe"}'


class _ProvokeScripted:
    def __init__(self) -> None:
        model = ScriptedProvider(SystemClock()).find("script")
        assert model is not None
        self._model: ChatModel = model

    def _ask(self, *turn: dict[str, Any]) -> tuple[ChatModel, ModelRequest]:
        return self._model, user_request(json.dumps([turn]), "script")

    def words(self, count: int) -> tuple[ChatModel, ModelRequest]:
        return self._ask(*({"text": f"w{number} "} for number in range(count)))

    def tool_call(self) -> tuple[ChatModel, ModelRequest]:
        return self._ask({"tool_call": {"name": "lookup", "arguments": ARGUMENTS, "id": "call_1"}})

    def failure(self) -> tuple[ChatModel, ModelRequest]:
        return self._ask({"text": "w0 "}, {"error": "MODEL_OVERLOADED"})

    def endless(self) -> tuple[ChatModel, ModelRequest]:
        return self._ask({"text": "w0 "}, {"wait_for_cancel": True})

    async def until_idle(self) -> None:
        """There is no provider that could still be busy."""


class _ProvokeOpenAI:
    def __init__(self, server: Upstream, model: ChatModel) -> None:
        self._server = server
        self._model = model

    def words(self, count: int) -> tuple[ChatModel, ModelRequest]:
        return self._model, user_request("Hello", f"words-{count}")

    def tool_call(self) -> tuple[ChatModel, ModelRequest]:
        return self._model, user_request(ARGUMENTS, "tool-lookup")

    def failure(self) -> tuple[ChatModel, ModelRequest]:
        return self._model, user_request("Hello", "error-in-stream")

    def endless(self) -> tuple[ChatModel, ModelRequest]:
        return self._model, user_request("Hello", "hang-after-word")

    async def until_idle(self) -> None:
        await self._server.until(active=0)


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


class TestScriptedModel(ChatModelContract):
    @pytest.fixture
    def provoke(self) -> _ProvokeScripted:
        return _ProvokeScripted()


class TestOpenAIModel(ChatModelContract):
    @pytest.fixture
    async def provoke(self, server: Upstream) -> AsyncIterator[_ProvokeOpenAI]:
        provider = OpenAIProvider(OpenAIEndpoint(name="test", base_url=server.base_url, api_key="k"), SystemClock())
        yield _ProvokeOpenAI(server, provider.find("any"))
        await provider.close()
