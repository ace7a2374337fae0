"""All models by handle: `provider/model`, split at the first slash."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from letta_grpc.domain.completions import ModelInfo, ProviderInfo
from letta_grpc.domain.errors import InvalidRequest, ModelFailure, ModelUnknown
from letta_grpc.ports.models import ChatModel

logger = logging.getLogger(__name__)


class ModelProvider(Protocol):
    """A source of models, as the adapters beside this one give it."""

    @property
    def info(self) -> ProviderInfo:
        """What may be told of it."""
        ...

    def find(self, name: str) -> ChatModel | None:
        """Return the model of this name, None if there certainly is none."""
        ...

    async def list_models(self) -> tuple[ModelInfo, ...]:
        """Return its models. Raises ModelFailure."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes."""
        ...


class ModelCatalog:
    """The configured providers. `_` in a provider's name also matches `-`: variables cannot have a dash in their names."""

    def __init__(self, providers: Sequence[ModelProvider]) -> None:
        self._providers = {_key(provider.info.name): provider for provider in providers}
        self._windows: dict[tuple[str, str], int] = {}

    def resolve(self, handle: str) -> tuple[ChatModel, str]:
        """Return the model and the provider's own name of it. Raises ModelUnknown."""
        provider_name, _, name = handle.partition("/")
        provider = self._providers.get(_key(provider_name))
        if provider is None or not name:
            raise ModelUnknown(
                f"model {handle!r} is not provider/model of a configured provider: {self._names()}", model=handle
            )
        model = provider.find(name)
        if model is None:
            raise ModelUnknown(f"{provider_name} has no model {name!r}; configured providers: {self._names()}", model=handle)
        return model, name

    def context_window(self, handle: str) -> int | None:
        """Return what the provider's list said, once it was asked for."""
        provider_name, _, name = handle.partition("/")
        return self._windows.get((_key(provider_name), name))

    async def list(self, provider: str | None) -> tuple[tuple[ModelInfo, ...], tuple[str, ...]]:
        """Return all models by handle, and the providers that did not answer. Raises InvalidRequest for another name."""
        asked = list(self._providers.values()) if provider is None else [self._one(provider)]
        async with asyncio.TaskGroup() as group:
            lists = [group.create_task(_list(each)) for each in asked]
        found = [task.result() for task in lists]
        models = sorted((model for models in found for model in models or ()), key=lambda model: model.handle)
        self._remember(models)
        silent = tuple(each.info.name for each, models_of in zip(asked, found, strict=True) if models_of is None)
        return tuple(models), silent

    def providers(self) -> tuple[ProviderInfo, ...]:
        """Return the configured providers by name."""
        return tuple(sorted((provider.info for provider in self._providers.values()), key=lambda info: info.name))

    async def close(self) -> None:
        """Close all providers."""
        for provider in self._providers.values():
            await provider.close()

    def _one(self, name: str) -> ModelProvider:
        try:
            return self._providers[_key(name)]
        except KeyError:
            rule = f"must be one of the configured providers: {self._names()}"
            raise InvalidRequest(fields={"provider": rule}, provider=name) from None

    def _remember(self, models: Sequence[ModelInfo]) -> None:
        for model in models:
            if model.context_window is not None:
                self._windows[_key(model.provider), model.name] = model.context_window

    def _names(self) -> str:
        return ", ".join(info.name for info in self.providers())


async def _list(provider: ModelProvider) -> tuple[ModelInfo, ...] | None:
    try:
        return await provider.list_models()
    except ModelFailure as failure:
        logger.warning("%s: %s", provider.info.name, failure.message)
    except Exception:
        # What vendors send is never known whole, and the others' lists are not to be lost over it.
        logger.exception("%s: its list of models broke", provider.info.name)
    return None


def _key(provider_name: str) -> str:
    return provider_name.lower().replace("_", "-")
