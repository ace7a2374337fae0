"""Archives and searches, end to end: what was noted and what was said is found, and by whom."""

import json

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.v1 import (
    agent_service_pb2,
    archive_service_pb2,
    conversation_service_pb2,
    conversations_pb2,
    messages_pb2,
    passages_pb2,
)
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, provider_of, talk
from tests.support.upstream import Upstream
from tests.support.wires import failure_of, fields_of, info_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

Mode = archive_service_pb2.SearchMode
AGENT = "agent-00000000-0000-4000-8000-000000000000"
PASSAGE = "passage-00000000-0000-4000-8000-000000000000"


async def note(one: Talk, text: str, *tags: str) -> passages_pb2.Passage:
    new = passages_pb2.Passage(text=text, tags=tags)
    request = archive_service_pb2.CreatePassageRequest(agent_id=one.agent_id, passage=new)
    return (await one.wire.archive.CreatePassage(request)).passage


async def find(one: Talk, query: str = "", **more: object) -> list[str]:
    request = archive_service_pb2.SearchPassagesRequest(agent_id=one.agent_id, query=query, **more)  # type: ignore[arg-type]  # by name
    return [found.text for found in (await one.wire.archive.SearchPassages(request)).passages]


async def notes_of(one: Talk, **more: object) -> list[passages_pb2.Passage]:
    request = archive_service_pb2.ListPassagesRequest(agent_id=one.agent_id, **more)  # type: ignore[arg-type]  # by name
    return list((await one.wire.archive.ListPassages(request)).passages)


async def said_about(one: Talk, query: str, **more: object) -> list[tuple[str, str]]:
    request = agent_service_pb2.SearchMessagesRequest(agent_id=one.agent_id, query=query, **more)  # type: ignore[arg-type]  # by name
    results = (await one.wire.agents.SearchMessages(request)).results
    return [(found.conversation_id, found.message.content[0].text) for found in results]


@requirement("archive_kept")
async def test_a_note_is_kept_listed_changed_and_removed(wire: Wire) -> None:
    one = await talk(wire)
    tea = await note(one, "Ünal drinks green tea 🍵", "drinks", "hot", "drinks")
    assert (tea.agent_id, list(tea.tags)) == (one.agent_id, ["drinks", "hot"])
    coffee = await note(one, "Sam drinks coffee", "drinks")
    got = await wire.archive.GetPassage(archive_service_pb2.GetPassageRequest(agent_id=one.agent_id, passage_id=tea.id))
    assert got.passage == tea
    assert await notes_of(one) == [tea, coffee]
    assert await notes_of(one, descending=True, page_size=1) == [coffee]
    assert await notes_of(one, tags=["HOT"]) == [tea]
    update = archive_service_pb2.UpdatePassageRequest(
        agent_id=one.agent_id,
        passage_id=tea.id,
        passage=passages_pb2.Passage(text="Ünal drinks water", tags=["ignored"]),
        update_mask=FieldMask(paths=["text"]),
    )
    changed = (await wire.archive.UpdatePassage(update)).passage
    assert (changed.text, list(changed.tags), changed.create_time) == ("Ünal drinks water", ["drinks", "hot"], tea.create_time)
    assert await find(one, "unal") == ["Ünal drinks water"]
    assert await find(one, "tea") == []
    removal = archive_service_pb2.DeletePassageRequest(agent_id=one.agent_id, passage_id=tea.id)
    await wire.archive.DeletePassage(removal)
    assert info_of(await failure_of(wire.archive.DeletePassage(removal)))[1] == "PASSAGE_NOT_FOUND"
    assert await notes_of(one) == [coffee]
    assert await find(one, "unal") == []


@requirement("archive_of_agent")
async def test_an_agent_and_its_callers_share_one_archive_and_nobody_elses(wire: Wire) -> None:
    script = json.dumps(
        [
            [{"tool_call": {"name": "archival_memory_insert", "arguments": {"text": "Rex barks", "tags": ["dog"]}}}],
            [{"tool_call": {"name": "archival_memory_search", "arguments": {"query": "cat"}}}],
            [{"text": "done"}],
        ]
    )
    one = await talk(wire, "scripted/script", ["archival_memory_insert", "archival_memory_search"])
    other = await talk(wire)
    theirs = await note(other, "a cat of another")
    await note(one, "Tom is a cat")
    await one.ask(script)
    assert await find(one, "rex", tags=["dog"]) == ["Rex barks"]
    (searched,) = [
        returned.text
        for message in await one.history()
        for returned in message.tool_returns
        if "Tom" in returned.text or "another" in returned.text
    ]
    assert json.loads(searched)["text"] == "Tom is a cat"
    for_me = archive_service_pb2.GetPassageRequest(agent_id=one.agent_id, passage_id=theirs.id)
    error = await failure_of(wire.archive.GetPassage(for_me))
    assert info_of(error) == (grpc.StatusCode.NOT_FOUND, "PASSAGE_NOT_FOUND", {"passage_id": theirs.id})


@requirement("archive_limits")
async def test_what_breaks_a_rule_of_the_archive_is_named(wire: Wire) -> None:
    new = passages_pb2.Passage(text="x" * 20_001, tags=["", "t" * 101, *(f"t{n}" for n in range(19))])
    error = await failure_of(wire.archive.CreatePassage(archive_service_pb2.CreatePassageRequest(agent_id="me", passage=new)))
    assert fields_of(error) == {
        "agent_id": "must be agent-<uuid4>, in lower case",
        "passage.text": "must have at most 20000 characters, has 20001",
        "passage.tags": "must have at most 20, has 21",
        "passage.tags[0]": "must not be empty",
        "passage.tags[1]": "must have at most 100 characters, has 101",
    }
    search = archive_service_pb2.SearchPassagesRequest(agent_id=AGENT, query="京" * 2_001, limit=51)
    assert fields_of(await failure_of(wire.archive.SearchPassages(search))) == {
        "query": "must have at most 2000 characters, has 2001",
        "limit": "must be 1 to 50, is 51",
    }
    update = archive_service_pb2.UpdatePassageRequest(agent_id=AGENT, passage_id=PASSAGE)
    assert fields_of(await failure_of(wire.archive.UpdatePassage(update))) == {"update_mask": "is required: any of text, tags"}
    for call in (
        wire.archive.CreatePassage(
            archive_service_pb2.CreatePassageRequest(agent_id=AGENT, passage=passages_pb2.Passage(text="x"))
        ),
        wire.archive.ListPassages(archive_service_pb2.ListPassagesRequest(agent_id=AGENT)),
    ):
        assert info_of(await failure_of(call)) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", {"agent_id": AGENT})


@requirement("message_search")
async def test_what_was_said_is_found_in_one_conversation_or_in_all(wire: Wire) -> None:
    one, other = await talk(wire), await talk(wire)
    await one.ask("my dog is Rex")
    await other.ask("my dog is Bello")
    made = await wire.conversations.CreateConversation(
        conversation_service_pb2.CreateConversationRequest(
            agent_id=one.agent_id, conversation=conversations_pb2.Conversation(title="second")
        )
    )
    second = made.conversation.id
    start = one.start("the dog next door")
    start.conversation_id = second
    async for _ in wire.runs.StreamRun(start):
        pass
    user = messages_pb2.ROLE_USER
    found = await said_about(one, "DOG", roles=[user])
    assert {text for _, text in found} == {"my dog is Rex", "the dog next door"}
    assert [text for _, text in await said_about(one, "dog", conversation_id="default", roles=[user])] == ["my dog is Rex"]
    assert await said_about(one, "dog", conversation_id=second, roles=[user]) == [(second, "the dog next door")]
    assert len(await said_about(one, "dog")) == len(found) * 2
    assert len(await said_about(one, "dog", limit=1)) == 1
    assert await said_about(one, "bello") == []
    (rex,) = [message for message in await one.history() if message.role == user]
    assert await said_about(one, "dog", create_time_before=rex.create_time) == []
    assert len(await said_about(one, "rex", create_time_from=rex.create_time, roles=[user])) == 1
    # Also with agents of other tests.
    everywhere = agent_service_pb2.SearchMessagesRequest(agent_id="-", query="dog", roles=[user], limit=50)
    whose = {(each.agent_id, each.conversation_id) for each in (await wire.agents.SearchMessages(everywhere)).results}
    assert {one.agent_id, other.agent_id} <= {agent_id for agent_id, _ in whose}
    assert (one.agent_id, second) in whose
    for broken, reason in (
        (agent_service_pb2.SearchMessagesRequest(agent_id="-", conversation_id="default"), "INVALID_REQUEST"),
        (agent_service_pb2.SearchMessagesRequest(agent_id=AGENT), "AGENT_NOT_FOUND"),
        (agent_service_pb2.SearchMessagesRequest(agent_id=other.agent_id, conversation_id=second), "CONVERSATION_NOT_FOUND"),
        (agent_service_pb2.SearchMessagesRequest(agent_id=AGENT, limit=-1), "INVALID_REQUEST"),
    ):
        assert info_of(await failure_of(wire.agents.SearchMessages(broken)))[1] == reason


@requirement("archive_meaning")
async def test_without_an_embedding_model_a_search_by_meaning_says_so(wire: Wire) -> None:
    one = await talk(wire)
    await note(one, "green tea")
    assert await find(one, "tea", mode=Mode.SEARCH_MODE_BEST) == ["green tea"]
    request = archive_service_pb2.SearchPassagesRequest(agent_id=one.agent_id, query="tea", mode=Mode.SEARCH_MODE_MEANING)
    fields = fields_of(await failure_of(wire.archive.SearchPassages(request)))
    assert "no embedding model" in fields["mode"]


@requirement("archive_meaning")
async def test_notes_are_found_by_what_they_mean(connect: Connect, upstream: Upstream) -> None:
    async with connect(providers=provider_of(upstream), embedding_model="up/meanings") as wire:
        one = await talk(wire)
        for text in ("a kitten sleeps", "stocks fell", "the puppy plays"):
            await note(one, text)
        meaning = {"mode": Mode.SEARCH_MODE_MEANING}
        assert await find(one, "animals: cat", limit=1, **meaning) == ["a kitten sleeps"]
        assert (await find(one, "dog", **meaning))[0] == "the puppy plays"
        # Both ways: the words find one, the meaning the other.
        assert set(await find(one, "stocks", limit=1)) == {"stocks fell"}
        assert (await find(one, "money"))[0] == "stocks fell"
        assert await find(one, "money", mode=Mode.SEARCH_MODE_WORDS) == []


@requirement("archive_meaning")
async def test_an_embedding_model_that_fails_loses_no_note(connect: Connect, upstream: Upstream) -> None:
    async with connect(providers=provider_of(upstream), embedding_model="up/status-500") as wire:
        one = await talk(wire)
        await note(one, "green tea")
        assert await find(one, "tea") == ["green tea"]
        request = archive_service_pb2.SearchPassagesRequest(agent_id=one.agent_id, query="tea", mode=Mode.SEARCH_MODE_MEANING)
        code, reason, metadata = info_of(await failure_of(wire.archive.SearchPassages(request)))
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "EMBEDDINGS_FAILED")
        assert metadata == {"model": "up/status-500"}
    async with connect(providers=provider_of(upstream), embedding_model="up/meanings") as wire:
        assert await find(Talk(wire, one.agent_id), "beverage", mode=Mode.SEARCH_MODE_MEANING) == ["green tea"]
