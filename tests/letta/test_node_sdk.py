"""`@letta-ai/letta-client` as npm has it, unmodified, against the server in a process of its own."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_file import SOURCE, agent_file
from tests.support.letta import TOOL, Site, call, script, serving_site, user
from tests.support.node import node

WORDS = [{"text": f"{number} "} for number in range(20)]
COUNT = "".join(f"{number} " for number in range(20))
PROGRAM = "letta_face.mjs"


async def told(site: Site, scenario: str, **given: Any) -> Any:  # noqa: ANN401 - any JSON
    return await node(PROGRAM, scenario, site.url, json.dumps(given))


def kinds(items: Iterable[dict[str, Any]]) -> list[str]:
    return [item["message_type"] for item in items]


def said(items: Iterable[dict[str, Any]]) -> str:
    return "".join(item["content"] for item in items if item["message_type"] == "assistant_message")


async def test_an_answer_comes_whole(site: Site) -> None:
    answer = await told(site, "blocking", agent=site.agent("scripted/echo"), text="hello there")
    assert said(answer["messages"]) == "hello there"
    assert answer["stop_reason"]["stop_reason"] == "end_turn"


@pytest.mark.parametrize("mode", ["steps", "tokens"])
async def test_an_answer_comes_as_it_is_made(site: Site, mode: str) -> None:
    items = await told(site, mode, agent=site.agent(), text=script([*WORDS, call(), call()], [{"text": "Done."}]))
    assert said(items) == f"{COUNT}Done."
    assert (kinds(items)[0], kinds(items)[-2:]) == ("ping", ["stop_reason", "usage_statistics"])
    (returned,) = (item for item in items if item["message_type"] == "tool_return_message")
    assert len(returned["tool_returns"]) == 2
    # In tokens a delta is an object, in steps the calls are a list: as the SDK's types have it.
    asked = [item["tool_calls"] for item in items if item["message_type"] == "tool_call_message"]
    assert [isinstance(calls, list) for calls in asked] == ([True] if mode == "steps" else [False, False])


async def test_a_background_run_resumes_in_the_middle_after_a_restart(tmp_path: Path) -> None:
    with serving_site(tmp_path) as site:
        whole = await told(site, "tokens", agent=site.agent(), text=script(WORDS))
    with serving_site(tmp_path) as site:
        rest = await told(site, "resume", run=whole[0]["run_id"], after=whole[7]["seq_id"])
    assert rest == whole[8:]


@pytest.mark.parametrize("approve", [True, False])
async def test_a_call_waits_for_an_approval(site: Site, approve: bool) -> None:  # noqa: FBT001 - a parameter
    agent_id = site.agent(toolApprovals={TOOL: True})
    seen = await told(site, "approve", agent=agent_id, text=script([call()], WORDS), approve=approve)
    assert seen["refused"]["status"] == 409
    assert seen["refused"]["detail"]["code"] == "PENDING_APPROVAL"
    assert seen["refused"]["detail"]["pending_request_id"] == seen["request"]["id"]
    assert kinds(seen["answer"]["messages"]) == ["tool_return_message", "assistant_message"]
    returned = seen["answer"]["messages"][0]
    assert (returned["status"], "No." in returned["tool_return"]) == (("success", False) if approve else ("error", True))
    assert said(seen["answer"]["messages"]) == COUNT


async def test_the_client_runs_a_tool(site: Site) -> None:
    text = script([{"tool_call": {"name": "get_weather", "arguments": {"city": "Paris"}}}], WORDS)
    seen = await told(site, "client_tool", agent=site.agent(), text=text)
    assert seen["asked"]["stop_reason"]["stop_reason"] == "requires_approval"
    assert said(seen["answer"]["messages"]) == COUNT


async def test_a_run_is_cancelled_while_its_model_is_silent(site: Site) -> None:
    seen = await told(site, "cancel", agent=site.agent(), text=script([{"text": "So "}, {"wait_for_cancel": True}]))
    assert kinds(seen["items"]) == ["ping", "assistant_message", "stop_reason", "usage_statistics"]
    assert seen["cancelled"] == {seen["items"][0]["run_id"]: "cancelled"}


async def test_a_failed_run_is_told_with_its_kind(site: Site) -> None:
    seen = await told(site, "failure", agent=site.agent(), text=script([{"error": "MODEL_TIMEOUT"}]))
    assert kinds(seen["items"]) == ["ping", "stop_reason", "usage_statistics"]
    assert seen["error"]["error_type"] == "llm_timeout"


async def test_conversations_have_histories_of_their_own(site: Site) -> None:
    seen = await told(site, "conversations", agent=site.agent("scripted/echo"), text="hi")
    assert said(seen["items"]) == "hi"
    assert kinds(seen["history"]) == ["user_message", "assistant_message"]
    assert [item["id"] for item in seen["listed"]] == [seen["id"]]


async def test_two_hundred_and_fifty_messages_are_paged_through(site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    for number in range(125):
        site.post(f"/v1/agents/{agent_id}/messages", {"messages": user(f"m{number}")})
    seen = await told(site, "paging", agent=agent_id)
    assert len(set(seen["up"])) == 250
    assert seen["down"] == seen["up"][::-1]


async def test_runs_tell_what_they_did(site: Site) -> None:
    seen = await told(site, "runs", agent=site.agent(), text=script([call()], WORDS))
    assert said(seen["items"]) == COUNT
    assert (seen["run"]["status"], seen["run"]["stop_reason"]) == ("completed", "end_turn")
    assert seen["usage"]["total_tokens"] > 0
    assert len(seen["steps"]) == 2
    assert seen["step"] == seen["steps"][0]
    assert seen["all_steps"] == seen["steps"]
    assert [run["id"] for run in seen["listed"]] == [seen["run"]["id"]]


async def test_agents_are_made_changed_found_and_removed(site: Site) -> None:
    seen = await told(site, "agents")
    assert (seen["made"]["name"], seen["made"]["blocks"][0]["value"]) == ("ada", "Grace.")
    assert seen["changed"]["description"] == "A friend."
    assert [agent["id"] for agent in seen["listed"]] == [seen["made"]["id"]]
    assert "Grace." in seen["recompiled"]
    assert [each["content"] for each in seen["found"]["results"]] == ["The cat sleeps."]
    assert seen["gone"] == 404


async def test_blocks_are_shared_and_changed(site: Site) -> None:
    seen = await told(site, "blocks", agent=site.agent())
    labels = [[block["label"] for block in seen[name]["blocks"]] for name in ("attached", "detached")]
    assert labels == [["human", "team"], ["human"]]
    assert seen["changed"]["value"] == seen["read"]["value"] == "all of us"
    assert seen["left"] == []


async def test_tools_are_made_given_guarded_and_run(site: Site) -> None:
    seen = await told(site, "tools", agent=site.agent(), source=SOURCE.replace("weather_in", "weather_of"))
    assert (seen["tool"]["name"], seen["again"]["id"]) == ("weather_of", seen["tool"]["id"])
    assert {"type": "requires_approval", "tool_name": "weather_of"}.items() <= seen["guarded"]["tool_rules"][0].items()
    assert (seen["outcome"]["status"], seen["outcome"]["func_return"]) == ("success", "sunny in Rome")
    assert "weather_of" in [tool["name"] for tool in seen["listed"]]


async def test_an_agent_comes_and_leaves_as_a_file(site: Site) -> None:
    seen = await told(site, "files", file=agent_file())
    assert seen["imported"]["left_out"] == []
    (agent,) = seen["exported"]["agents"]
    assert (agent["name"], len(agent["messages"])) == ("agent 0_copy", 10)


async def test_what_is_not_here_is_told_at_once(site: Site) -> None:
    seen = await told(site, "elsewhere")
    assert seen["status"] == 501
    assert "archival-memory" in seen["message"]
