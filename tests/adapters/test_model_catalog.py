import importlib.util
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.llama import LlamaProvider, LlamaUnavailableError
from letta_grpc.adapters.model_catalog import ModelCatalog
from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.adapters.scripted import ScriptedProvider
from letta_grpc.domain.completions import ModelInfo
from letta_grpc.domain.errors import InvalidRequest, ModelAuthFailed, ModelUnknown
from letta_grpc.ports.models import Models
from letta_grpc.testing.models import read_all, text_of, user_request
from tests.support.upstream import Upstream, running_upstream


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


@pytest.fixture
async def catalog(server: Upstream) -> AsyncIterator[ModelCatalog]:
    clock = SystemClock()
    endpoints = [
        OpenAIEndpoint(name="my_vllm", base_url=server.base_url, api_key="k"),
        OpenAIEndpoint(name="gone", base_url="http://127.0.0.1:1/v1"),
        OpenAIEndpoint(name="openai", base_url="https://api.openai.com/v1", key_variable="OPENAI_API_KEY"),
    ]
    catalog = ModelCatalog([*(OpenAIProvider(endpoint, clock) for endpoint in endpoints), ScriptedProvider(clock)])
    yield catalog
    await catalog.close()


async def test_a_handle_is_split_at_its_first_slash(catalog: Models) -> None:
    assert catalog.resolve("my_vllm/meta/llama-3")[1] == "meta/llama-3"
    model, name = catalog.resolve("scripted/echo")
    assert text_of(await read_all(model, user_request("Hello", name))) == "Hello"


def test_an_underscore_in_a_configured_name_also_matches_a_dash(catalog: Models) -> None:
    assert catalog.resolve("my-vllm/x")[0] is catalog.resolve("my_vllm/x")[0]


@pytest.mark.parametrize("handle", ["nobody/x", "scripted/nothing", "echo", "my_vllm/", "", "/"])
def test_an_unknown_handle_names_the_configured_providers(catalog: Models, handle: str) -> None:
    with pytest.raises(ModelUnknown, match="gone, my_vllm, openai, scripted") as raised:
        catalog.resolve(handle)
    assert raised.value.metadata == {"model": handle}


async def test_a_missing_key_fails_the_call_and_says_which_variable_to_set(catalog: Models) -> None:
    model, name = catalog.resolve("openai/gpt-4o-mini")
    with pytest.raises(ModelAuthFailed, match="set OPENAI_API_KEY"):
        await read_all(model, user_request("Hello", name))


async def test_the_list_has_all_models_and_says_who_did_not_answer(catalog: Models) -> None:
    models, silent = await catalog.list(None)
    handles = [model.handle for model in models]
    assert handles == sorted(handles)
    assert {"my_vllm/words-3", "scripted/demo", "scripted/echo", "scripted/script"} <= set(handles)
    assert silent == ("gone", "openai")


async def test_the_list_of_one_provider_asks_only_that_one(catalog: Models) -> None:
    models, silent = await catalog.list("scripted")
    assert {model.provider for model in models} == {"scripted"}
    assert silent == ()
    with pytest.raises(InvalidRequest):
        await catalog.list("nobody")


async def test_a_context_window_is_known_once_the_provider_was_asked_for_its_list(catalog: Models) -> None:
    assert catalog.context_window("my_vllm/words-3") is None
    await catalog.list("my-vllm")
    assert catalog.context_window("my-vllm/words-3") == 4096
    assert catalog.context_window("my_vllm/echo") is None


def test_providers_are_told_without_their_keys(catalog: Models) -> None:
    told = {info.name: (info.base_url.rpartition("/")[2], info.has_api_key) for info in catalog.providers()}
    assert told == {"gone": ("v1", False), "my_vllm": ("v1", True), "openai": ("v1", False), "scripted": ("", False)}


class _BrokenProvider(OpenAIProvider):
    async def list_models(self) -> tuple[ModelInfo, ...]:
        raise KeyError("data")


async def test_a_provider_that_breaks_in_a_new_way_leaves_the_others_their_lists(caplog: pytest.LogCaptureFixture) -> None:
    clock = SystemClock()
    broken = _BrokenProvider(OpenAIEndpoint(name="acme", base_url="http://127.0.0.1:1/v1"), clock)
    catalog = ModelCatalog([broken, ScriptedProvider(clock)])
    models, silent = await catalog.list(None)
    assert {model.provider for model in models} == {"scripted"}
    assert silent == ("acme",)
    assert "KeyError" in caplog.text
    await catalog.close()


def test_a_local_model_without_its_file_or_its_extra_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(_: object) -> OpenAIProvider:
        raise AssertionError

    with pytest.raises(LlamaUnavailableError, match="no GGUF file"):
        LlamaProvider(tmp_path / "missing.gguf", connect)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LlamaUnavailableError, match=r"letta-grpc\[local\]"):
        LlamaProvider(tmp_path / "missing.gguf", connect)
