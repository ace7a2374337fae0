"""What the SDK of PyPI is told of the past: messages, conversations, runs, steps."""

import base64
import json
import time
from typing import Any

import letta_client
import pytest

from tests.support.letta import ARGUMENTS, TOOL, Client, Site, call, kinds, said, script, user

WORDS = [{"text": f"{number} "} for number in range(20)]
COUNT = "".join(f"{number} " for number in range(20))
PIXELS = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(900_000)).decode()
IMAGE: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXELS}}
SHOWN: Any = {"role": "user", "content": [IMAGE]}


def test_two_hundred_and_fifty_messages_are_paged_through(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    for number in range(125):
        site.post(f"/v1/agents/{agent_id}/messages", {"messages": user(f"m{number}")})
    expected = [f"m{number // 2}" for number in range(250)]
    up = list(client.agents.messages.list(agent_id, order="asc", limit=40))
    assert [item.content for item in up] == expected
    down = list(client.agents.messages.list(agent_id, order="desc", limit=40))
    assert down == up[::-1]
    # `before` reads towards the beginning, page by page.
    backwards = list(client.agents.messages.list(agent_id, order="asc", limit=40, before=up[200].id))
    assert sorted(item.content for item in backwards) == sorted(expected[:200])
    assert len(list(client.runs.list(agent_id=agent_id, limit=30))) == 125


def test_history_says_what_was_streamed_under_the_same_names(client: Client, site: Site) -> None:
    agent_id = site.agent()
    text = script([{"reasoning": "Hm."}, {"text": "Well."}, call()], [{"text": "Done."}])
    streamed = list(client.agents.messages.create(agent_id, messages=user(text), streaming=True, stream_tokens=True))
    listed = list(client.agents.messages.list(agent_id, order="asc"))
    assert kinds(listed) == [
        "user_message",
        "reasoning_message",
        "assistant_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    told = [(item.id, item.otid, item.message_type) for item in streamed[1:-2]]
    assert [(item.id, item.otid, item.message_type) for item in listed[1:]] == told


def test_what_a_call_thinks_stands_before_it_in_the_history_and_in_the_stream(client: Client, site: Site) -> None:
    agent_id = site.agent(kind="AGENT_KIND_MEMGPT")
    thinks = {"name": TOOL, "arguments": {"thinking": "Hm.", **ARGUMENTS}, "piece_chars": 3}
    text = script([{"tool_call": thinks}])
    streamed = list(client.agents.messages.create(agent_id, messages=user(text), streaming=True, stream_tokens=True))
    told = dict.fromkeys((item.id, item.otid, item.message_type) for item in streamed[1:-2])
    listed = list(client.agents.messages.list(agent_id, order="asc"))[1:]
    assert kinds(listed) == ["reasoning_message", "tool_call_message", "tool_return_message"]
    assert [(item.id, item.otid, item.message_type) for item in listed] == list(told)


def test_a_list_keeps_to_the_kinds_that_are_asked_for(client: Client, site: Site) -> None:
    agent_id = site.agent()
    stream = client.agents.messages.create(
        agent_id,
        messages=user(script([{"reasoning": "Hm."}, {"text": "Well."}, call()], [{"text": "Done."}])),
        streaming=True,
        include_return_message_types=["assistant_message"],
        include_pings=False,
    )
    assert kinds(stream) == ["assistant_message", "assistant_message", "stop_reason", "usage_statistics"]
    # The newest come first, and items that nobody asked for end no page.
    listed = client.agents.messages.list(agent_id, limit=1, include_return_message_types=["assistant_message"])
    assert [item.content for item in listed] == ["Done.", "Well."]


def test_conversations_have_histories_of_their_own(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    one, two = (client.conversations.create(agent_id=agent_id, summary=name) for name in ("one", "two"))
    for conversation in (one, two):
        assert said(client.conversations.messages.create(conversation.id, messages=user(f"in {conversation.summary}"))) == (
            f"in {conversation.summary}"
        )
    listed = list(client.conversations.list(agent_id=agent_id))
    assert [item.summary for item in listed] == ["two", "one"]
    history = list(client.conversations.messages.list(one.id, order="asc"))
    assert [item.content for item in history] == ["in one", "in one"]
    assert list(client.agents.messages.list(agent_id, conversation_id="default")) == []
    everything = list(client.agents.messages.list(agent_id, order="asc", limit=1))
    assert [item.content for item in everything] == ["in one", "in one", "in two", "in two"]
    assert [item.content for item in client.messages.list(extra_query={"agent_id": agent_id})] == [
        "in two",
        "in two",
        "in one",
        "in one",
    ]
    fork: Any = client.conversations.fork(one.id)
    copied = client.conversations.messages.list(fork.id, order="asc")
    assert [item.content for item in copied] == ["in one", "in one"]
    client.conversations.update(one.id, summary="renamed", description="The first.")
    changed = client.conversations.retrieve(one.id)
    assert (changed.summary, changed.description) == ("renamed", "The first.")
    assert len(changed.in_context_message_ids or ()) == 2
    client.conversations.delete(two.id)
    with pytest.raises(letta_client.NotFoundError):
        client.conversations.retrieve(two.id)


def test_conversations_of_an_agent_work_side_by_side(client: Client, site: Site) -> None:
    agent_id = site.agent()
    conversation = client.conversations.create(agent_id=agent_id)
    waiting = client.conversations.messages.create(
        conversation.id, messages=user(script([{"text": "So "}, {"wait_for_cancel": True}])), stream_tokens=True
    )
    run_id = next(waiting).run_id
    assert said(client.agents.messages.create(agent_id, messages=user(script(WORDS))).messages) == COUNT
    active = client.runs.list(agent_id=agent_id, active=True)
    assert [run.id for run in active] == [run_id]
    # Without naming the run: what is at work in the conversation.
    again = client.conversations.messages.stream(conversation.id)
    assert next(again).run_id == run_id
    assert client.conversations.cancel(conversation.id) == {run_id: "cancelled"}
    assert kinds(waiting)[-2:] == kinds(again)[-2:] == ["stop_reason", "usage_statistics"]


def test_a_conversation_is_compacted_and_emptied(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    for number in range(12):
        client.agents.messages.create(agent_id, input=f"message {number} " + "word " * 40)
    answer: Any = client.agents.messages.compact(agent_id)
    assert answer.num_messages_after < answer.num_messages_before
    assert answer.summary
    assert len(list(client.agents.messages.list(agent_id))) >= 24
    client.agents.messages.reset(agent_id)
    assert list(client.agents.messages.list(agent_id)) == []


def test_an_agent_names_the_messages_in_its_context(client: Client) -> None:
    made = client.agents.create(model="scripted/echo")
    assert made.message_ids == []
    assert client.agents.retrieve(made.id).message_ids == []
    client.agents.messages.create(made.id, input="hello")
    listed = [item.id for item in client.agents.messages.list(made.id, order="asc")]
    assert client.agents.retrieve(made.id).message_ids == listed
    emptied = client.agents.messages.reset(made.id)
    assert emptied.message_ids == client.agents.retrieve(made.id).message_ids == []
    assert [tool.name for tool in emptied.tools] == [tool.name for tool in made.tools] != []


def test_pictures_beyond_the_size_of_an_answer_keep_nobody_from_a_conversation(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    conversation = client.conversations.create(agent_id=agent_id)
    for _ in range(5):
        list(client.conversations.messages.create(conversation.id, messages=[SHOWN]))
        client.agents.messages.create(agent_id, messages=[SHOWN])
    assert client.conversations.retrieve(conversation.id).id == conversation.id
    assert client.agents.retrieve(agent_id).id == agent_id
    assert client.agents.recompile(agent_id) == client.conversations.recompile(conversation.id) != ""
    assert client.conversations.messages.compact(conversation.id).num_messages_before == 5
    assert client.agents.messages.compact(agent_id).num_messages_before == 5
    assert client.conversations.retrieve(conversation.id).in_context_message_ids


def test_a_file_has_also_what_exceeds_the_size_of_an_answer(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    client.agents.passages.create(agent_id, text="A note.")
    for _ in range(5):
        client.agents.messages.create(agent_id, messages=[SHOWN])

    def exported(**query: bool) -> tuple[Any, str]:
        file = json.loads(client.agents.export_file(agent_id, **query))
        return file["agents"][0], file["metadata"]["left_out"]

    whole, left_out = exported()
    assert [part for each in whole["messages"] for part in each["content"] if part["type"] == "image"] == [IMAGE] * 5
    assert whole["in_context_message_ids"] == [each["id"] for each in whole["messages"]]
    assert left_out.startswith("1 archival notes")
    client.agents.messages.compact(agent_id)
    compacted, _ = exported()
    *_, kept, summary = compacted["messages"]
    assert len(compacted["messages"]) == len(whole["messages"]) + 1
    assert compacted["in_context_message_ids"][1:] == [summary["id"], kept["id"]]
    assert exported(scrub_messages=True)[0]["messages"][1:] == []


def test_runs_tell_what_they_did(client: Client, site: Site) -> None:
    agent_id = site.agent()
    run = client.agents.messages.create_async(agent_id, messages=user(script([call()], WORDS)))
    assert said(client.runs.messages.stream(run.id)) == COUNT
    done = client.runs.retrieve(run.id)
    assert (done.status, done.stop_reason, done.background) == ("completed", "end_turn", True)
    assert client.runs.usage.retrieve(run.id).total_tokens > 0
    steps = list(client.runs.steps.list(run.id, order="asc"))
    assert len(steps) == 2
    assert kinds(client.runs.messages.list(run.id)) == [
        "user_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    assert [item.id for item in client.runs.list(agent_id=agent_id, statuses=["completed"])] == [run.id]
    assert list(client.runs.list(agent_id=agent_id, statuses=["failed"])) == []
    assert list(client.runs.list(agent_id=agent_id, stop_reason="end_turn", background=True))
    assert list(client.runs.list(agent_id=agent_id, background=False)) == []


@pytest.mark.parametrize("later", [False, True])
def test_turns_in_the_background_are_followed_by_the_agents_that_work_after_turns(
    client: Client,
    site: Site,
    later: bool,  # noqa: FBT001 - a case
) -> None:
    helper_id = site.agent("scripted/echo")
    agent_id = site.agent("scripted/echo", sleeptime={"agentIds": [helper_id], "everyTurns": 1})
    if later:
        client.agents.messages.create_async(agent_id, messages=user("Hello"))
    else:
        list(client.agents.messages.create(agent_id, messages=user("Hello"), streaming=True, background=True))
    while not (helped := client.runs.list(agent_id=helper_id).items):
        time.sleep(0.05)
    assert [run.background for run in helped] == [True]
    assert [run.agent_id for run in client.runs.list(background=True) if run.agent_id in (helper_id, agent_id)] == [
        helper_id,
        agent_id,
    ]


def test_steps_are_listed_and_read_by_themselves(client: Client, site: Site) -> None:
    agent_id = site.agent()
    first = client.agents.messages.create_async(agent_id, messages=user(script([call()], WORDS)))
    assert said(client.runs.messages.stream(first.id)) == COUNT
    second = client.agents.messages.create_async(agent_id, messages=user(script(WORDS)))
    assert said(client.runs.messages.stream(second.id)) == COUNT
    steps = list(client.steps.list(agent_id=agent_id, order="asc", limit=2))
    assert [step.run_id for step in steps] == [first.id, first.id, second.id]
    assert [step.id for step in client.steps.list(agent_id=agent_id)] == [step.id for step in steps[::-1]]
    assert [step.id for step in client.steps.list(agent_id=agent_id, after=steps[0].id, order="asc")] == [
        step.id for step in steps[1:]
    ]
    assert list(client.steps.list(agent_id=agent_id, model="another")) == []
    step = client.steps.retrieve(steps[0].id)
    assert (step.id, step.run_id, step.agent_id, step.model_handle) == (steps[0].id, first.id, agent_id, "scripted/script")
    assert step.total_tokens > 0
    assert kinds(client.steps.messages.list(step.id)) == ["tool_call_message", "tool_return_message"]
    metrics = client.steps.metrics.retrieve(step.id)
    assert (metrics.id, metrics.run_id) == (step.id, first.id)
    assert metrics.step_ns > 0
    with pytest.raises(letta_client.NotFoundError):
        client.steps.retrieve(f"step-{agent_id.removeprefix('agent-')}")
    with pytest.raises(letta_client.APIStatusError) as elsewhere:
        client.steps.trace.retrieve(step.id)
    assert elsewhere.value.status_code == 501


def test_a_step_says_how_it_ended(client: Client, site: Site) -> None:
    agent_id = site.agent()
    with pytest.raises(letta_client.APIStatusError):
        client.agents.messages.create(agent_id, messages=user(script([call()], [{"text": "Oh"}, {"error": "MODEL_TIMEOUT"}])))
    stream = client.agents.messages.create(
        agent_id, messages=user(script([{"text": "So "}, {"wait_for_cancel": True}])), streaming=True, stream_tokens=True
    )
    assert kinds([next(stream), next(stream)]) == ["ping", "assistant_message"]
    client.agents.messages.cancel(agent_id)
    list(stream)
    first, second, third = client.steps.list(agent_id=agent_id, order="asc")
    assert (first.status, first.stop_reason, first.error_type) == ("success", None, None)
    assert (second.status, second.stop_reason, second.error_type) == ("failed", "llm_api_error", "llm_timeout")
    assert "time" in second.error_data["message"]
    assert (third.status, third.stop_reason, third.error_type) == ("cancelled", "cancelled", None)


def test_messages_are_listed_by_their_conversation(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    conversation = client.conversations.create(agent_id=agent_id)
    list(client.conversations.messages.create(conversation.id, messages=user("aside")))
    assert [item.content for item in client.messages.list(conversation_id=conversation.id)] == ["aside", "aside"]
    with pytest.raises(letta_client.UnprocessableEntityError, match="conversation"):
        client.messages.list()
    with pytest.raises(letta_client.APIStatusError) as elsewhere:
        client.messages.retrieve(f"message-{agent_id.removeprefix('agent-')}")
    assert elsewhere.value.status_code == 501


def test_what_was_said_is_found(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    client.agents.messages.create(agent_id, input="The ünïque word is here")
    found = client.messages.search(query="unique", agent_id=agent_id)
    assert {item.message_type for item in found} == {"user_message", "assistant_message"}
    client.agents.messages.create(other := site.agent("scripted/echo"), input="The unique word is there")
    everywhere = client.messages.search(query="unique")
    assert {agent_id, other} <= {item.agent_id for item in everywhere}


@pytest.mark.parametrize("data", ["", "???", base64.b64encode(b"a cat").decode()])
def test_a_picture_that_is_none_is_refused_and_not_said(client: Client, site: Site, data: str) -> None:
    agent_id = site.agent()
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    with pytest.raises((letta_client.BadRequestError, letta_client.UnprocessableEntityError), match="content"):
        client.agents.messages.create(agent_id, messages=[{"role": "user", "content": [image]}])
    assert not client.agents.messages.list(agent_id).items
