"""Agents, memory, tools and archives through `letta-client` as PyPI has it, against the server in a process of its own."""

from collections.abc import Callable
from typing import Any

import letta_client
import pytest

from tests.support.letta import Client, Site


def detail_of(error: pytest.ExceptionInfo[letta_client.APIStatusError]) -> Any:  # noqa: ANN401 - any JSON
    body: Any = error.value.body
    return body["detail"]


def test_an_agent_has_all_that_the_sdk_promises(client: Client) -> None:
    made = client.agents.create(
        name="ada",
        model="scripted/echo",
        system="Be kind.",
        description="A friend.",
        memory_blocks=[{"label": "human", "value": "Grace.", "limit": 300}, {"label": "persona", "value": "Ada."}],
        tags=["red", "blue"],
        metadata={"team": "one", "size": 3, "deep": {"a": [1, None]}, "five": "5"},
        timezone="Europe/Rome",
        context_window_limit=9000,
        model_settings={"provider_type": "openai", "temperature": 0.5, "max_output_tokens": 77},
        secrets={"KEY": "s3cret"},
        extra_body={"unknown_field": "is let be"},
    )
    agent = client.agents.retrieve(made.id)
    assert (agent.name, agent.system, agent.description, agent.timezone) == ("ada", "Be kind.", "A friend.", "Europe/Rome")
    assert (agent.agent_type, agent.model, agent.llm_config.handle) == ("letta_v1_agent", "scripted/echo", "scripted/echo")
    assert (agent.llm_config.context_window, agent.llm_config.temperature, agent.llm_config.max_tokens) == (9000, 0.5, 77)
    assert [(block.label, block.value, block.limit) for block in agent.blocks] == [
        ("human", "Grace.", 300),
        ("persona", "Ada.", 100_000),
    ]
    assert [block.id for block in agent.memory.blocks] == [block.id for block in agent.blocks]
    assert {tool.name for tool in agent.tools} >= {"memory_insert", "conversation_search", "archival_memory_search"}
    assert all(tool.id.startswith("tool-") and tool.json_schema["parameters"] for tool in agent.tools)
    assert (sorted(agent.tags), agent.sources) == (["blue", "red"], [])
    assert agent.metadata == {"team": "one", "size": 3, "deep": {"a": [1, None]}, "five": "5"}
    assert [(secret.key, secret.value) for secret in agent.secrets] == [("KEY", "")]
    assert agent.created_at == made.created_at


def test_an_agent_can_be_made_as_older_clients_do(client: Client) -> None:
    config = {"model": "echo", "model_endpoint_type": "openai", "provider_name": "scripted", "context_window": 8000}
    agent = client.agents.create(llm_config=config, agent_type="memgpt_agent", tools=["conversation_search"])
    assert (agent.model, agent.agent_type, agent.llm_config.context_window) == ("scripted/echo", "memgpt_v2_agent", 8000)
    assert agent.tools[0].name == "conversation_search"
    assert len(agent.tools) > 1, "the base tools come beside those that are named"


def test_an_agent_changes_by_what_is_named(client: Client) -> None:
    agent = client.agents.create(name="before", model="scripted/echo", tags=["kept"], model_settings={"temperature": 0.5})
    changed = client.agents.update(
        agent.id, name="after", model="scripted/script", parallel_tool_calls=False, tool_ids=[], description=None
    )
    assert (changed.name, changed.model, changed.tags, changed.tools) == ("after", "scripted/script", ["kept"], [])
    assert (changed.llm_config.temperature, changed.llm_config.parallel_tool_calls) == (0.5, False)
    assert client.agents.update(agent.id).name == "after"


def test_a_deleted_agent_is_not_found(client: Client, agent_id: str) -> None:
    client.agents.delete(agent_id)
    with pytest.raises(letta_client.NotFoundError) as error:
        client.agents.retrieve(agent_id)
    assert detail_of(error) == "There is no such agent."


def test_agents_are_found_by_name_and_tags(client: Client) -> None:
    for name, tags in (("red one", ["t-red"]), ("both", ["t-red", "t-blue"]), ("blue one", ["t-blue"])):
        client.agents.create(name=name, model="scripted/echo", tags=tags, include_base_tools=False)

    def names(**query: Any) -> list[str]:  # noqa: ANN401 - of any kind
        return [agent.name for agent in client.agents.list(**query)]

    assert names(tags=["t-red", "t-blue"], order="asc") == ["red one", "both", "blue one"]
    assert names(tags=["t-red", "t-blue"], match_all_tags=True) == ["both"]
    assert names(tags=["t-blue"], query_text="ONE") == ["blue one"]
    assert names(name="both", tags=["t-red"]) == ["both"]
    assert {"t-red", "t-blue"} <= set(client.tags.list())
    assert client.tags.list(query_text="t-", limit=1) == ["t-blue"]
    assert client.tags.list(query_text="t-", after="t-blue") == ["t-red"]


def test_250_agents_are_paged_through(client: Client) -> None:
    made = [
        client.agents.create(name=f"page {n}", model="scripted/echo", tags=["paged"], include_base_tools=False).id
        for n in range(250)
    ]
    assert [agent.id for agent in client.agents.list(tags=["paged"], order="asc")] == made
    assert [agent.id for agent in client.agents.list(tags=["paged"], limit=100)] == made[::-1]
    backwards = client.agents.list(tags=["paged"], before=made[3], order="asc", limit=2)
    assert [agent.id for agent in backwards.items] == made[1:3]


def test_blocks_are_kept_shared_and_changed(client: Client, agent_id: str) -> None:
    block = client.blocks.create(label="team", value="us", description="Who we are.", metadata={"n": 1})
    assert client.blocks.retrieve(block.id).metadata == {"n": 1}
    agent = client.agents.blocks.attach(block.id, agent_id=agent_id)
    assert [each.label for each in agent.blocks] == ["team"]
    assert [each.id for each in client.agents.blocks.list(agent_id)] == [block.id]
    changed = client.agents.blocks.update("team", agent_id=agent_id, value="all of us")
    assert (changed.id, changed.value, changed.description) == (block.id, "all of us", "Who we are.")
    assert client.agents.blocks.retrieve("team", agent_id=agent_id).value == "all of us"
    assert client.blocks.update(block.id, read_only=True).read_only
    assert [each.id for each in client.blocks.agents.list(block.id)] == [agent_id]
    assert [each.id for each in client.blocks.list(label="team", value_search="ALL of")] == [block.id]
    assert client.agents.blocks.detach(block.id, agent_id=agent_id).blocks == []
    client.blocks.delete(block.id)
    with pytest.raises(letta_client.NotFoundError):
        client.blocks.retrieve(block.id)


ATTACHING = "attach/block-00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("label", ["project/patterns/approval", "/notes//", "attached/x", "attach/x", "detach/x/", ATTACHING])
def test_a_block_is_found_by_a_label_with_slashes(client: Client, site: Site, label: str) -> None:
    agent = client.agents.create(model="scripted/echo", memory_blocks=[{"label": label, "value": "Ask first."}])
    assert client.agents.blocks.retrieve(label, agent_id=agent.id).id == agent.blocks[0].id
    assert client.agents.blocks.update(label, agent_id=agent.id, value="Never.").value == "Never."
    path = f"/v1/agents/{agent.id}/core-memory/blocks/{label.replace('/', '%2F')}"
    for behind in ("", "/"):
        assert site.http.get(path + behind).json()["value"] == "Never."
    if not label.endswith("/"):
        assert site.http.get(f"/v1/agents/{agent.id}/core-memory/blocks/{label}/").json()["label"] == label


def test_a_block_without_a_value_is_empty(client: Client) -> None:
    nothing: Any = [{"label": "notes", "value": None}]
    agent = client.agents.create(model="scripted/echo", memory_blocks=nothing)
    assert [(block.label, block.value) for block in agent.blocks] == [("notes", "")]
    del nothing[0]["value"]
    with pytest.raises(letta_client.UnprocessableEntityError) as error:
        client.agents.create(model="scripted/echo", memory_blocks=nothing)
    assert detail_of(error)[0]["loc"] == ["body", "value"]


def test_block_ids_of_an_agent_are_replaced(client: Client) -> None:
    first, second = (client.blocks.create(label=label, value="x") for label in ("one", "two"))
    agent = client.agents.create(model="scripted/echo", block_ids=[first.id])
    assert [block.id for block in client.agents.update(agent.id, block_ids=[second.id]).blocks] == [second.id]


@pytest.mark.parametrize(("wanted", "status"), [(["unknown"], 404), (["new", "same"], 409), (["nope"], 422), ("nope", 422)])
def test_a_refused_update_changes_nothing(client: Client, wanted: Any, status: int) -> None:  # noqa: ANN401 - any JSON
    memory = [{"label": "human", "value": "Sam"}, {"label": "persona", "value": "Ada"}]
    agent = client.agents.create(name="before", model="scripted/echo", memory_blocks=memory, include_base_tools=False)
    ids = {
        "unknown": "block-00000000-0000-4000-8000-000000000000",
        "new": client.blocks.create(label="human", value="x").id,
        "same": agent.blocks[0].id,
    }
    block_ids = wanted if isinstance(wanted, str) else [ids.get(name, name) for name in wanted]
    with pytest.raises(letta_client.APIStatusError) as error:
        client.agents.update(agent.id, name="after", block_ids=block_ids, extra_body={"metadata": {"a": "b"}})
    assert error.value.status_code == status
    left = client.agents.retrieve(agent.id)
    assert (left.name, left.metadata, left.updated_at) == ("before", agent.metadata, agent.updated_at)
    assert left.blocks == agent.blocks


def test_250_blocks_are_paged_through(client: Client) -> None:
    made = [client.blocks.create(label="paged", value=str(n)).id for n in range(250)]
    assert [block.id for block in client.blocks.list(label="paged", order="asc", limit=60)] == made


def test_a_second_agent_works_in_the_background_where_that_is_asked_for(client: Client) -> None:
    agent = client.agents.create(
        name="day", model="scripted/echo", enable_sleeptime=True, memory_blocks=[{"label": "human", "value": "x"}]
    )
    assert agent.enable_sleeptime
    (second,) = agent.managed_group.agent_ids
    assert agent.blocks[0].id in [block.id for block in client.agents.retrieve(second).blocks]
    assert not client.agents.update(agent.id, enable_sleeptime=False).enable_sleeptime


def test_an_agent_for_which_no_second_one_can_be_made_is_not_made_or_changed(client: Client) -> None:
    """The second one has a block of this label itself."""
    memory = [{"label": "memory_persona", "value": "x"}, {"label": "refused", "value": "y"}]
    kept = client.blocks.create(label="kept", value="z")
    with pytest.raises(letta_client.BadRequestError):
        client.agents.create(
            name="refused", model="scripted/echo", enable_sleeptime=True, memory_blocks=memory, block_ids=[kept.id]
        )
    assert not client.agents.list(name="refused").items
    assert not client.blocks.list(label="refused").items
    assert client.blocks.retrieve(kept.id) == kept
    agent = client.agents.create(name="before", model="scripted/echo", memory_blocks=memory)
    with pytest.raises(letta_client.BadRequestError):
        client.agents.update(agent.id, name="after", enable_sleeptime=True)
    assert client.agents.retrieve(agent.id).name == "before"


def test_a_refused_change_leaves_no_second_agent_behind(client: Client) -> None:
    memory = [{"label": "human", "value": "x"}]
    agent = client.agents.create(name="alone", model="scripted/echo", memory_blocks=memory)
    with pytest.raises(letta_client.APIStatusError):
        client.agents.update(agent.id, enable_sleeptime=True, timezone="Nowhere/Land")
    assert not client.agents.retrieve(agent.id).enable_sleeptime
    assert not client.agents.list(name="alone-sleeptime").items
    assert client.blocks.retrieve(agent.blocks[0].id).value == "x"


def test_a_second_agent_is_made_for_the_agent_as_it_is_changed(client: Client) -> None:
    new = client.blocks.create(label="new", value="x")
    agent = client.agents.create(name="a", model="scripted/echo", memory_blocks=[{"label": "human", "value": "x"}])
    agent = client.agents.update(agent.id, name="b", block_ids=[new.id], enable_sleeptime=True)
    second = client.agents.retrieve(agent.managed_group.agent_ids[0])
    assert second.name == "b-sleeptime"
    assert [block.label for block in second.blocks] == ["memory_persona", "new"]


def test_notes_are_kept_listed_found_and_removed(client: Client, agent_id: str) -> None:
    texts = ["The cat sleeps.", "The dog barks.", "A cat and a dog."]
    for text, tag in zip(texts, ("cats", "dogs", "both"), strict=True):
        client.agents.passages.create(agent_id, text=text, tags=[tag])
    notes = client.agents.passages.list(agent_id)
    assert [note.text for note in notes] == texts
    assert [note.text for note in client.agents.passages.list(agent_id, after=notes[0].id, limit=1)] == [texts[1]]
    found = client.agents.passages.search(agent_id, query="cat")
    assert {each.content for each in found.results} == {texts[0], texts[2]}
    assert found.count == 2
    either = client.agents.passages.search(agent_id, query="dog", tags=["dogs", "both"])
    assert {each.content for each in either.results} == {texts[1], texts[2]}
    assert client.agents.passages.search(agent_id, query="dog", end_datetime="2020-01-01T00:00:00Z").count == 0
    assert [each.passage.text for each in client.passages.search(agent_id=agent_id, query="barks")] == [texts[1]]
    client.agents.passages.delete(notes[0].id, agent_id=agent_id)
    assert len(client.agents.passages.list(agent_id)) == 2


def test_models_and_health_are_told(client: Client) -> None:
    models = {model.handle: model for model in client.models.list()}
    echo = models["scripted/echo"]
    assert (echo.name, echo.provider_name) == ("echo", "scripted")
    assert echo.context_window > 0
    assert list(client.models.embeddings.list()) == []
    assert client.health().status == "ok"


@pytest.mark.parametrize("handle", ["nobody/nothing", "letta/letta-free", "google_ai/gemini-2.5-flash"])
def test_a_model_that_no_provider_here_has_is_told_with_those_that_are(client: Client, handle: str) -> None:
    with pytest.raises(letta_client.NotFoundError) as error:
        client.agents.create(model=handle)
    assert handle in detail_of(error)
    assert "scripted" in detail_of(error)


def test_what_is_wrong_with_a_body_is_told_by_its_name(client: Client, agent_id: str) -> None:
    wrong: list[Callable[[], object]] = [
        lambda: client.agents.create(model="scripted/echo", memory_blocks="none"),
        lambda: client.agents.create(model="scripted/echo", agent_type="robot"),
        lambda: client.agents.create(model="scripted/echo", name=5),
        lambda: client.agents.update(agent_id, tool_rules=[{"type": "dance", "tool_name": "a"}]),
        lambda: client.agents.retrieve("agent-7"),
        lambda: client.agents.list(limit=0),
        lambda: client.agents.list(order="sideways"),
        lambda: client.tools.create(source_code=None),
        lambda: client.agents.passages.create(agent_id, text=None),
    ]
    for ask in wrong:
        with pytest.raises(letta_client.UnprocessableEntityError) as error:
            ask()
        assert detail_of(error)
        assert error.value.response.headers["x-should-retry"] == "false"


def test_two_blocks_of_one_label_are_a_conflict_that_no_retry_solves(client: Client, agent_id: str) -> None:
    one, two = (client.blocks.create(label="same", value="x").id for _ in range(2))
    client.agents.blocks.attach(one, agent_id=agent_id)
    with pytest.raises(letta_client.ConflictError) as error:
        client.agents.blocks.attach(two, agent_id=agent_id)
    assert error.value.response.headers["x-should-retry"] == "false"


def test_a_filter_or_an_order_that_is_not_here_is_never_passed_over(client: Client, agent_id: str) -> None:
    assert agent_id in [agent.id for agent in client.agents.list(order_by="created_at", limit=100).items]
    refused: list[Callable[[], object]] = [
        lambda: client.agents.list(last_stop_reason="error"),
        lambda: client.runs.list(order_by="duration"),
        lambda: client.tools.list(order_by="name"),
        lambda: client.agents.list(order_by="updated_at"),
    ]
    for ask in refused:
        with pytest.raises(letta_client.APIStatusError) as error:
            ask()
        assert error.value.status_code == 501
    assert list(client.agents.list(identity_id="identity-1")) == []
    client.agents.messages.create(agent_id, input="hi")
    assert len(list(client.steps.list(agent_id=agent_id, start_date="2020-01-01", end_date="2999-01-01T00:00:00Z"))) == 1
    for nothing in ({"end_date": "2020-01-01"}, {"start_date": "2999-01-01"}, {"has_feedback": True}, {"trace_ids": ["x"]}):
        assert list(client.steps.list(agent_id=agent_id, **nothing)) == []


def test_what_was_at_work_last_can_come_first(client: Client) -> None:
    agents = [client.agents.create(model="scripted/echo", tags=["worked"], include_base_tools=False).id for _ in range(3)]
    for place in (1, 0):
        client.agents.messages.create(agents[place], input="hi")
    listed = client.agents.list(tags=["worked"], order_by="last_run_completion", limit=1)
    assert [agent.id for agent in listed] == [agents[0], agents[1], agents[2]]
    made = [client.conversations.create(agent_id=agents[2]).id for _ in range(3)]
    for place in (2, 1):
        list(client.conversations.messages.create(made[place], messages=[{"role": "user", "content": "hi"}]))
    found = client.conversations.list(agent_id=agents[2], order_by="last_message_at")
    assert [each.id for each in found] == [made[1], made[2], made[0]]
