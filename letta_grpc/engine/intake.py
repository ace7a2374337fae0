"""What is checked and fetched for a start before it is claimed: response format, callback address, pictures."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import assert_never

from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.messages import (
    ApprovalInput,
    ImagePart,
    InputMessage,
    InputPart,
    ReturnsInput,
    SpokenInput,
    ToolReturn,
)
from letta_grpc.domain.pictures import MAX_CONTENT_BYTES, MAX_FETCHED_PICTURES, content_bytes
from letta_grpc.domain.runs import RunSpec
from letta_grpc.engine.answer_shape import AnswerShape
from letta_grpc.ports.callbacks import CallbackSender
from letta_grpc.ports.images import ImageLoader, ImageUnavailableError
from letta_grpc.ports.shapes import Shapes
from letta_grpc.ports.stores import RunStore

# Pictures, by the addresses that a start names.
_Pictures = dict[str, ImagePart]


class Intake:
    """Makes a start ready to be claimed."""

    def __init__(self, *, shapes: Shapes, images: ImageLoader, callbacks: CallbackSender, runs: RunStore) -> None:
        self._answer_shape = AnswerShape(shapes)
        self._images = images
        self._callbacks = callbacks
        self._runs = runs

    async def prepared(self, spec: RunSpec, request_id: str | None) -> RunSpec:
        """Return the spec with pictures in place of their addresses, each fetched once. Raises InvalidRequest.

        If the request id has started a run already, nothing is fetched: whether the start is the same is told by its
        fingerprint, which is made of the addresses.
        """
        await self._answer_shape.check_schema(spec)
        if spec.callback_url:
            self._callbacks.check(spec.callback_url)
        places = dict(_places(spec.messages))
        if not places or (request_id and await self._runs.find_started(request_id)):
            return spec
        pictures = await self._fetch(places)
        messages = tuple(_filled(message, pictures) for message in spec.messages)
        _check_sizes(messages)
        return replace(spec, messages=messages)

    async def _fetch(self, places: dict[str, str]) -> _Pictures:
        if len(places) > MAX_FETCHED_PICTURES:
            raise InvalidRequest(
                fields=dict.fromkeys(places, f"a start names at most {MAX_FETCHED_PICTURES} pictures by address")
            )
        addresses = list(dict.fromkeys(places.values()))
        outcomes = await asyncio.gather(*(self._load(url) for url in addresses))
        loaded = dict(zip(addresses, outcomes, strict=True))
        broken = {path: fault for path, url in places.items() if isinstance(fault := loaded[url], str)}
        if broken:
            raise InvalidRequest(fields=broken)
        return {url: picture for url, picture in loaded.items() if isinstance(picture, ImagePart)}

    async def _load(self, url: str) -> ImagePart | str:
        """Return a picture, or why there is none."""
        try:
            return await self._images.load(url, MAX_CONTENT_BYTES)
        except ImageUnavailableError as error:
            return str(error)


def _contents(message: InputMessage) -> Iterator[tuple[str, Sequence[InputPart]]]:
    """Yield the contents of a message, each with the path of its parts."""
    match message:
        case SpokenInput(role=role, content=content):
            yield f"{role.value}.content.parts", content
        case ReturnsInput(tool_returns=returns):
            for index, returned in enumerate(returns):
                yield f"tool_returns.returns[{index}].content.parts", returned.content
        case ApprovalInput():  # Has no content.
            pass
        case _:
            assert_never(message)


def _places(messages: Sequence[InputMessage]) -> Iterator[tuple[str, str]]:
    """Yield the path and the address of each picture that is to be fetched."""
    for number, message in enumerate(messages):
        for path, parts in _contents(message):
            for index, part in enumerate(parts):
                if isinstance(part, ImagePart) and part.url:
                    yield f"run.messages[{number}].{path}[{index}].image.url", part.url


def _filled(message: InputMessage, pictures: _Pictures) -> InputMessage:
    match message:
        case SpokenInput(content=content):
            return replace(message, content=_shown(content, pictures))
        case ReturnsInput(tool_returns=returns):
            return replace(message, tool_returns=tuple(_filled_return(each, pictures) for each in returns))
        case _:
            return message


def _filled_return(returned: ToolReturn, pictures: _Pictures) -> ToolReturn:
    return replace(returned, content=_shown(returned.content, pictures))


def _shown(content: Sequence[InputPart], pictures: _Pictures) -> tuple[InputPart, ...]:
    return tuple(pictures[part.url] if isinstance(part, ImagePart) and part.url else part for part in content)


def _check_sizes(messages: Sequence[InputMessage]) -> None:
    broken = {}
    for number, message in enumerate(messages):
        if (size := sum(content_bytes(parts) for _, parts in _contents(message))) > MAX_CONTENT_BYTES:
            broken[f"run.messages[{number}]"] = f"must have at most {MAX_CONTENT_BYTES} bytes with its pictures, has {size}"
    if broken:
        raise InvalidRequest(fields=broken)
