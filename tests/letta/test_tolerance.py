"""What clients of the reference server send in several ways, and configured in several ways."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import letta_client
import orjson
import pytest
from letta_client import Letta

from letta_grpc.gateway.faces.letta.shapes.tools import tool_json
from letta_grpc.gateway.faces.letta.tool_rules import rules_json
from letta_grpc.v1 import agents_pb2, tools_pb2
from tests.support.letta import Client, Json, Site, script, user
from tests.support.server_process import serving_process
from tests.support.upstream import Upstream, running_upstream

EMPTY = [b"", b"{}", b"null"]
WORDS = script([{"text": "one two"}])


@pytest.mark.parametrize("body", EMPTY)
def test_nothing_may_be_said_in_any_way(site: Site, body: bytes) -> None:
    agent_id = site.agent()
    run_id = site.post(f"/v1/agents/{agent_id}/messages/async", {"messages": user(WORDS)}).json()["id"]
    kind = {"content-type": "application/json"}

    def sent(verb: str, path: str) -> httpx2.Response:
        return site.http.request(verb, path, content=body, headers=kind)

    stream = sent("POST", f"/v1/runs/{run_id}/stream")
    assert stream.status_code == 200
    assert stream.text.endswith("data: [DONE]\n\n")
    assert sent("POST", f"/v1/agents/{agent_id}/messages/cancel").status_code == 409
    assert sent("PATCH", f"/v1/agents/{agent_id}/reset-messages").status_code == 200
    assert sent("PATCH", f"/v1/agents/{agent_id}").json()["id"] == agent_id
    assert sent("DELETE", f"/v1/agents/{agent_id}").status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/blocks/", {"label": "human", "value": "x"}),
        ("/v1/conversations/?agent_id={agent_id}", {"summary": "A talk"}),
        ("/v1/agents/{agent_id}/archival-memory/", {"text": "A note.", "tags": ["a"]}),
    ],
)
def test_a_change_that_names_nothing_changes_nothing(site: Site, path: str, body: Json) -> None:
    collection = path.format(agent_id=site.agent())
    made = site.post(collection, body).json()
    whole = made[0] if isinstance(made, list) else made
    changed = site.http.patch(f"{collection.partition('?')[0]}{whole['id']}", json={})
    assert changed.status_code == 200, changed.text
    told = changed.json()[0] if isinstance(made, list) else changed.json()
    assert {name: told[name] for name in ("id", *body)} == {"id": whole["id"], **body}


def test_metadata_that_is_nested_deeply_is_told_as_the_text_that_it_is(site: Site) -> None:
    deep = "[" * 300 + "]" * 300
    agent_id = site.agent(metadata={"deep": deep, "flat": "[1]"})
    assert site.get(f"/v1/agents/{agent_id}")["metadata"] == {"deep": deep, "flat": [1]}
    changed = site.http.patch(f"/v1/agents/{agent_id}", json={"metadata": {"deep": deep}}).json()
    assert changed["metadata"]["deep"] == deep


def test_a_schema_or_arguments_that_are_nested_deeply_fail_no_answer() -> None:
    deep = f'{{"a": {"[" * 300 + "]" * 300}}}'
    told = tool_json(tools_pb2.Tool(name="look", parameters=deep))
    assert json.loads(orjson.dumps(told))["json_schema"] == {"name": "look", "description": "", "parameters": None}
    first = agents_pb2.ToolRule(tool="look", run_first=agents_pb2.RunFirstRule(arguments=deep))
    (rule,) = rules_json(agents_pb2.Agent(tool_rules=[first]))
    assert json.loads(orjson.dumps(rule))["args"] is None


@pytest.mark.parametrize("path", ["agents", "tools", "runs", "blocks", "steps", "providers", "tags", "health", "ready"])
def test_a_slash_at_the_end_changes_nothing(site: Site, path: str) -> None:
    bare, slashed = (site.http.get(f"/v1/{path}{slash}") for slash in ("", "/"))
    assert bare.status_code == slashed.status_code == 200
    assert bare.json() == slashed.json()


def test_a_key_comes_as_a_bearer_or_as_the_servers_password(tmp_path: Path) -> None:
    with serving_process(tmp_path, "--http", "127.0.0.1:0", LETTA_GRPC_API_KEYS="s3cret") as (line, _):
        url = line.split("http=")[1]
        for headers in ({"authorization": "Bearer s3cret"}, {"x-bare-password": "password s3cret"}):
            assert httpx2.get(f"{url}/v1/agents/", headers=headers, trust_env=False).json() == []
        with Letta(base_url=url, api_key="s3cret", max_retries=0) as client:
            assert list(client.agents.list()) == []
        with Letta(base_url=url, api_key="wrong", max_retries=0) as client:
            with pytest.raises(letta_client.AuthenticationError) as refused:
                client.agents.list()
            assert refused.value.response.headers["x-should-retry"] == "false"
        assert httpx2.get(f"{url}/v1/health/", trust_env=False).json()["status"] == "ok"


@pytest.fixture(scope="module")
def provided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that has providers under the names that people give them."""
    with running_upstream() as upstream:
        folder = tmp_path_factory.mktemp("provided")
        with (
            serving_process(folder, "--http", "127.0.0.1:0", **_providers(upstream)) as (line, _),
            Letta(base_url=line.split("http=")[1], max_retries=0) as client,
        ):
            yield client


def _providers(upstream: Upstream) -> dict[str, str]:
    names = ("GEMINI", "LMSTUDIO", "GROQ")
    others = {f"LETTA_GRPC_PROVIDERS__{name}__BASE_URL": upstream.base_url for name in names}
    known = {f"{name}_{part}": value for name in ("OPENAI", "ANTHROPIC") for part, value in _known(upstream)}
    return {**others, **known, **{f"LETTA_GRPC_PROVIDERS__{name}__API_KEY": "any" for name in names}}


def _known(upstream: Upstream) -> list[tuple[str, str]]:
    return [("API_KEY", "any"), ("BASE_URL", upstream.base_url)]


@pytest.mark.parametrize(
    ("handle", "found"),
    [
        ("openai/words-2", "openai/words-2"),
        ("anthropic/words-2", "anthropic/words-2"),
        ("google_ai/words-2", "gemini/words-2"),
        ("google_vertex/words-2", "gemini/words-2"),
        ("openai-proxy/words-2", "openai/words-2"),
        ("lmstudio_openai/words-2", "lmstudio/words-2"),
        ("groq/words-2", "groq/words-2"),
    ],
)
def test_handles_of_any_provider_resolve_to_one_that_is_here(provided: Client, handle: str, found: str) -> None:
    agent = provided.agents.create(model=handle, include_base_tools=False)
    assert agent.model == found
    answer = provided.agents.messages.create(agent.id, input="hi")
    assert [item.content for item in answer.messages if item.message_type == "assistant_message"] == ["w0 w1 "]
    other = provided.agents.create(model="openai/echo", include_base_tools=False)
    assert provided.agents.update(other.id, model=handle).model == found


def test_a_conversation_is_compacted(site: Site) -> None:
    with Letta(base_url=site.url, max_retries=0) as made:
        client: Client = made
        conversation = client.conversations.create(agent_id=site.agent("scripted/echo"))
        for number in range(12):
            list(client.conversations.messages.create(conversation.id, messages=user(f"message {number} " + "word " * 40)))
        answer = client.conversations.messages.compact(conversation.id)
        assert answer.num_messages_after < answer.num_messages_before
        assert answer.summary


def test_a_conversation_is_forked_up_to_a_message(site: Site) -> None:
    with Letta(base_url=site.url, max_retries=0) as made:
        client: Client = made
        conversation = client.conversations.create(agent_id=site.agent("scripted/echo"))
        for text in ("one", "two"):
            list(client.conversations.messages.create(conversation.id, messages=user(text)))
        fork = client.conversations.fork(conversation.id)
        list(client.conversations.messages.create(fork.id, messages=user("three")))
        said = [item.content for item in client.conversations.messages.list(conversation.id, order="asc")]
        assert said == ["one", "one", "two", "two"]
        assert len(list(client.conversations.messages.list(fork.id))) == 6


def test_the_same_otid_is_one_run_whoever_is_called_back(site: Site) -> None:
    agent_id = site.agent()
    otid = "00000000-0000-4000-8000-0000000000aa"
    body = {"messages": user(WORDS, otid), "callback_url": "http://127.0.0.1:9/told"}
    path = f"/v1/agents/{agent_id}/messages"
    runs = {site.post(f"{path}/async", body).json()["id"] for _ in range(2)}
    runs |= {site.post(path, {"messages": user(WORDS, otid)}).json()["messages"][0]["run_id"]}
    assert len(runs) == 1
    assert len(site.get("/v1/runs/", agent_id=agent_id)) == 1
