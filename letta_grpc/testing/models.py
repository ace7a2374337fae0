"""What every ChatModel promises.

A subclass gives the fixture `provoke`: an object that makes the model behave in the few ways that the promises are about.
"""
# ruff: noqa: S101, PLR2004 - assert is what a contract does, and expected values are what it is about

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import pairwise
from typing import Protocol

import pytest

from letta_grpc.domain.completions import (
    FinishReason,
    ModelChunk,
    ModelFinished,
    ModelRequest,
    TextChunk,
    ToolCallChunk,
    ToolDefinition,
)
from letta_grpc.domain.errors import ModelFailure
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.messages import Message, Role, TextPart
from letta_grpc.ports.models import ChatModel

Batches = AsyncGenerator[Sequence[ModelChunk], None]
# Far beyond what anything takes: it only ends a test that would hang.
_PATIENCE_SECONDS = 50

TOOL = ToolDefinition(
    name="lookup", description="Looks it up.", parameters='{"type": "object", "properties": {"word": {"type": "string"}}}'
)


class Provoke(Protocol):
    """Each method returns a model, and a request that makes it behave in one way."""

    def words(self, count: int) -> tuple[ChatModel, ModelRequest]:
        """The text `w0 w1 …`: `count` words, each with a space behind."""
        ...

    def tool_call(self) -> tuple[ChatModel, ModelRequest]:
        r"""One call of `lookup` with the arguments `{"word": "gr\u00fc\u00dfe"}`, in any number of pieces."""
        ...

    def failure(self) -> tuple[ChatModel, ModelRequest]:
        """MODEL_OVERLOADED after the text `w0 `."""
        ...

    def endless(self) -> tuple[ChatModel, ModelRequest]:
        """The text `w0 `, then nothing for ever."""
        ...

    async def until_idle(self) -> None:
        """Return once no answer is under way at the provider; fail if that takes long."""
        ...


def user_request(text: str, model: str = "test") -> ModelRequest:
    """Return a request with one user message and the tool `lookup`."""
    time = datetime(2030, 1, 1, tzinfo=UTC)
    message = Message(
        id=MessageId("message-1"), role=Role.USER, content=(TextPart(text),), run_id=RunId("run-1"), create_time=time
    )
    return ModelRequest(model=model, system="", messages=(message,), tools=(TOOL,))


def open_stream(model: ChatModel, request: ModelRequest) -> Batches:
    """Ask the model; the port promises a generator."""
    return model.stream(request)


async def read_all(model: ChatModel, request: ModelRequest) -> list[Sequence[ModelChunk]]:
    """Return all batches of an answer."""
    async with asyncio.timeout(_PATIENCE_SECONDS), aclosing(open_stream(model, request)) as batches:
        return [batch async for batch in batches]


async def read_into(said: list[Sequence[ModelChunk]], model: ChatModel, request: ModelRequest) -> None:
    """Add the batches of an answer to a list, which has them also when the answer fails."""
    async with asyncio.timeout(_PATIENCE_SECONDS), aclosing(open_stream(model, request)) as batches:
        async for batch in batches:
            said.append(batch)  # noqa: PERF401 - a comprehension would lose them


def text_of(batches: Sequence[Sequence[ModelChunk]]) -> str:
    """Return the text in batches."""
    return "".join(chunk.text for batch in batches for chunk in batch if isinstance(chunk, TextChunk))


class ChatModelContract:
    """What a ChatModel promises. A subclass gives the fixture `provoke`."""

    @pytest.mark.parametrize("count", [1, 3, 200])
    async def test_the_text_comes_whole_and_in_order(self, provoke: Provoke, count: int) -> None:
        """Nothing is lost, doubled or moved."""
        batches = await read_all(*provoke.words(count))
        assert text_of(batches) == "".join(f"w{number} " for number in range(count))

    async def test_the_answer_ends_with_one_finish(self, provoke: Provoke) -> None:
        """ModelFinished is the last chunk of the last batch and comes once."""
        chunks = [chunk for batch in await read_all(*provoke.words(3)) for chunk in batch]
        assert [chunk for chunk in chunks if isinstance(chunk, ModelFinished)] == [chunks[-1]]
        assert isinstance(chunks[-1], ModelFinished)
        assert chunks[-1].reason is FinishReason.STOP

    async def test_usage_is_reported(self, provoke: Provoke) -> None:
        """The counts come with the finish."""
        finished = (await read_all(*provoke.words(3)))[-1][-1]
        assert isinstance(finished, ModelFinished)
        assert finished.usage.completion_tokens == 3
        assert finished.usage.prompt_tokens is not None
        assert finished.usage.total_tokens == finished.usage.prompt_tokens + 3

    async def test_no_batch_is_empty_and_neighbours_are_merged(self, provoke: Provoke) -> None:
        """A batch is what one read brought, in as few chunks as it takes."""
        for batch in await read_all(*provoke.words(200)):
            assert batch
            assert all(not (isinstance(left, TextChunk) and isinstance(right, TextChunk)) for left, right in pairwise(batch))

    async def test_the_pieces_of_a_tool_call_make_one_call(self, provoke: Provoke) -> None:
        """Id and name come with the first piece, and the arguments joined are what the model wrote."""
        chunks = [chunk for batch in await read_all(*provoke.tool_call()) for chunk in batch]
        pieces = [chunk for chunk in chunks if isinstance(chunk, ToolCallChunk)]
        assert (pieces[0].index, pieces[0].name) == (0, "lookup")
        assert pieces[0].id
        assert {piece.index for piece in pieces} == {0}
        assert "".join(piece.arguments for piece in pieces) == '{"word": "gr\\u00fc\\u00dfe"}'
        assert isinstance(chunks[-1], ModelFinished)
        assert chunks[-1].reason is FinishReason.TOOL_CALLS

    async def test_a_failure_comes_behind_what_was_said(self, provoke: Provoke) -> None:
        """The chunks before it are given, and it is one of ours, with a message for people."""
        said: list[Sequence[ModelChunk]] = []
        with pytest.raises(ModelFailure) as raised:
            await read_into(said, *provoke.failure())
        assert text_of(said) == "w0 "
        assert raised.value.reason == "MODEL_OVERLOADED"
        assert raised.value.message
        assert raised.value.metadata["provider"]

    async def test_closing_the_iterator_ends_the_call_at_the_provider(self, provoke: Provoke) -> None:
        """Whoever stops reading stops the model."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async with aclosing(open_stream(*provoke.endless())) as batches:
                assert text_of([await anext(batches)]) == "w0 "
            await provoke.until_idle()

    async def test_cancelling_the_reader_ends_the_call_at_the_provider(self, provoke: Provoke) -> None:
        """A reader that waits for more can be cancelled."""
        has_begun = asyncio.Event()

        async def read() -> None:
            async with aclosing(open_stream(*provoke.endless())) as batches:
                async for _ in batches:
                    has_begun.set()

        async with asyncio.timeout(_PATIENCE_SECONDS):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(read())
                await has_begun.wait()
                task.cancel()
            await provoke.until_idle()

    async def test_answers_at_the_same_time_do_not_mix(self, provoke: Provoke) -> None:
        """Each caller gets its own."""
        counts = (1, 20, 50)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read_all(*provoke.words(count))) for count in counts]
        assert [len(text_of(task.result()).split()) for task in tasks] == list(counts)
