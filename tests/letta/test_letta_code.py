"""What Letta Code asks for when it starts, which no SDK does by itself."""

import pytest

from tests.support.letta import Site, frames_of, script, user

SERVERS = ["web_search", "fetch_webpage"]


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
