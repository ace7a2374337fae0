"""What Letta Code asks for, which no SDK does by itself."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support.letta import Site, frames_of, script, user
from tests.support.server_process import serving_process
from tests.support.upstream import Upstream, running_upstream

SERVERS = ["web_search", "fetch_webpage"]
SKILLS = [
    {"name": "pdf", "description": "Read PDF files.\nAt length: …", "location": "/home/ada/.skills/pdf/SKILL.md"},
    {"name": "office/xls", "description": "", "location": "/home/ada/.skills/office/xls/SKILL.md"},
    {"name": "notes", "description": "Take notes.", "location": "/home/ada/.skills/notes.md"},
    {"name": "commit", "description": "Commit.", "location": "/home/ada/.skills/commit/SKILL.md"},
    {"name": "commit", "description": "Another.", "location": "/home/.skills/commit/SKILL.md"},
    {"name": "sleep", "description": "Sleep.", "location": None},
]
TOLD = """<available_skills>
${MEMORY_DIR}/skills
└── sleep/
    └── SKILL.md (Sleep.)

/home/ada/.skills
├── commit/
│   └── SKILL.md (Commit.)
├── pdf/
│   └── SKILL.md (Read PDF files.)
└── notes.md (Take notes.)

/home/ada/.skills/office
└── xls/
    └── SKILL.md
</available_skills>"""


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_tools_that_are_not_here_are_told_in_the_words_that_it_goes_on_at(site: Site, verb: str) -> None:
    path = "/v1/agents/" if verb == "POST" else f"/v1/agents/{site.agent()}"
    refused = site.http.request(verb, path, json={"model": "scripted/echo", "tools": SERVERS})
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("Tools not found by name: web_search, fetch_webpage.")


def test_its_tools_are_described_at_length(site: Site) -> None:
    tool = {"name": "Bash", "description": "x" * 16_384, "parameters": {"type": "object", "properties": {}}}
    body = {"messages": user(script([{"text": "Hello."}])), "client_tools": [tool], "streaming": True}
    path = f"/v1/agents/{site.agent()}/messages"
    answer = site.post(path, body)
    assert answer.status_code == 200, answer.text
    assert "Hello." in [frame.data.get("content") for frame in frames_of(answer.text) if frame.data]
    longer = site.post(path, {**body, "client_tools": [{**tool, "description": "x" * 16_385}]})
    assert longer.status_code == 400
    assert "run.client_tools[0].description" in longer.json()["detail"]


@pytest.mark.parametrize("path", ["health", "ready"])
def test_the_version_is_that_of_the_api_so_that_nobody_is_sent_for_a_newer_image(site: Site, path: str) -> None:
    assert site.get(f"/v1/{path}/")["version"] == "0.16.8"


def test_a_memory_kept_in_git_is_told_to_be_in_blocks(site: Site) -> None:
    answer = site.http.get(f"/v1/git/{site.agent()}/state.git/info/refs", params={"service": "git-upload-pack"})
    assert answer.status_code == 501
    assert "--no-memfs" in answer.json()["detail"]


@pytest.fixture(scope="module")
def provided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Upstream]]:
    """A server whose models say what they were asked."""
    folder = tmp_path_factory.mktemp("skills")
    with running_upstream() as upstream:
        settings = {"OPENAI_API_KEY": "any", "OPENAI_BASE_URL": upstream.base_url}
        with serving_process(folder, "--http", "127.0.0.1:0", **settings) as (line, _):
            site = Site(line.split("http=")[1])
            with site.http:
                yield site, upstream


async def prompts(upstream: Upstream) -> list[str]:
    """The system prompts of all that the models were asked, which are forgotten then."""
    seen = [request["body"]["messages"][0] for request in (await upstream.state()).requests]
    await upstream.reset()
    assert {message["role"] for message in seen} == {"system"}
    return [message["content"] for message in seen]


async def test_the_model_is_told_which_skills_the_client_has(provided: tuple[Site, Upstream]) -> None:
    site, upstream = provided
    agent_id = site.agent("openai/words-2", system="You are Letta Code.")
    path = f"/v1/agents/{agent_id}/messages"
    for skills, system in ((SKILLS, None), ([], None), (SKILLS, "Be brief.")):
        answer = site.post(path, {"input": "hello", "client_skills": skills, "override_system": system})
        assert answer.status_code == 200, answer.text
    skilled, plain, brief = await prompts(upstream)
    assert skilled.startswith(f"You are Letta Code.\n\n{TOLD}\n\n<memory>")
    assert plain.startswith("You are Letta Code.\n\n<memory>")
    assert brief.startswith("Be brief.\n\n<memory>")


async def test_a_client_that_answers_a_call_still_has_its_skills(provided: tuple[Site, Upstream]) -> None:
    site, upstream = provided
    path = f"/v1/agents/{site.agent('openai/tool-Skill', system='You are Letta Code.')}/messages"
    own = {"client_skills": SKILLS, "client_tools": [{"name": "Skill", "description": "Loads a skill."}]}
    asked = site.post(path, {"input": '{"skill": "pdf"}', **own}).json()
    (call,) = (call for item in asked["messages"] for call in item.get("tool_calls") or ())
    answer = {"type": "tool", "tool_call_id": call["tool_call_id"], "status": "success", "tool_return": "Use a reader."}
    answered = site.post(path, {"messages": [{"type": "approval", "approvals": [answer]}], **own})
    assert answered.status_code == 200, answered.text
    assert [TOLD in prompt for prompt in await prompts(upstream)] == [True, True]


def test_a_start_with_skills_that_is_repeated_finds_its_run_when_the_instructions_have_changed(site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    path, body = f"/v1/agents/{agent_id}/messages", {"messages": user("hello", otid=str(uuid4())), "client_skills": SKILLS}
    first = site.post(path, body).json()
    changed = site.http.patch(f"/v1/agents/{agent_id}", json={"system": "Be brief."})
    assert changed.status_code == 200, changed.text
    assert site.post(path, body).json() == first
    assert len(site.get("/v1/runs/", agent_id=agent_id)) == 1


def test_a_skill_without_a_name_is_refused(site: Site) -> None:
    refused = site.post(f"/v1/agents/{site.agent()}/messages", {"input": "[]", "client_skills": [{"location": "/x"}]})
    assert refused.status_code == 422
    assert "name" in refused.text


@pytest.mark.parametrize("mode", [{"stream_tokens": True}, {"stream_tokens": True, "background": True}])
def test_a_request_that_a_model_refused_is_of_a_kind_that_is_not_sent_again(site: Site, mode: dict[str, bool]) -> None:
    path = f"/v1/agents/{site.agent()}/messages"
    *_, error, _done = site.stream(
        path, {"messages": user(script([{"error": "MODEL_BAD_REQUEST"}])), "streaming": True, **mode}
    )
    assert error.data is not None
    assert (error.event, error.data["error_type"]) == ("error", "llm_bad_request")
    kept = site.get(f"/v1/runs/{error.data['run_id']}")
    assert (kept["stop_reason"], kept["metadata"]["error"]["error_type"]) == ("llm_api_error", "llm_bad_request")


@pytest.mark.parametrize("words", [[], [{"text": "Let me see."}]])
@pytest.mark.parametrize("answered", [0, 1])
@pytest.mark.parametrize("default", [True, False])
def test_what_waits_for_answers_is_last_in_context(
    site: Site, words: list[dict[str, str]], answered: int, *, default: bool
) -> None:
    agent_id = site.agent()
    conversation_id = (
        "default" if default else site.http.post("/v1/conversations/", params={"agent_id": agent_id}).json()["id"]
    )
    path, own = f"/v1/conversations/{conversation_id}/messages", {"agent_id": agent_id, "streaming": False}
    calls = [{"tool_call": {"name": "Bash", "arguments": {}, "id": f"call_{number}"}} for number in range(2)]
    asked = site.post(path, {"messages": user(script([*words, *calls])), "client_tools": [{"name": "Bash"}], **own}).json()
    (waiting,) = (item["id"] for item in asked["messages"] if item["message_type"] == "approval_request_message")
    returns = [
        {"type": "tool", "tool_call_id": f"call_{number}", "status": "success", "tool_return": "x"}
        for number in range(answered)
    ]
    if returns:
        site.post(path, {"messages": [{"type": "tool_return", "tool_returns": returns}], **own}).raise_for_status()
    named = f"/v1/agents/{agent_id}" if default else f"/v1/conversations/{conversation_id}"
    seen = site.get(named)["message_ids" if default else "in_context_message_ids"]
    assert seen[-1] == waiting
    assert len(set(seen)) == len(seen)
    stored = {item["id"] for item in site.get(path, agent_id=agent_id)}
    assert set(seen) <= stored
    refused = site.post(path, {"messages": user("hello"), **own})
    assert refused.status_code == 409
    assert "waiting for approval" in refused.json()["detail"]["message"]
