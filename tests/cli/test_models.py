import json
from pathlib import Path

from tests.support.commands import Invoke, commands_of
from tests.support.server_process import serving_process


def test_models_are_listed_by_what_agents_are_given(invoke: Invoke) -> None:
    listed = invoke("models")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert "scripted/demo" in listed.stdout.split()
    found = [json.loads(line)["handle"] for line in invoke("models", "--provider", "scripted", "--json").stdout.splitlines()]
    assert found
    assert all(handle.startswith("scripted/") for handle in found)
    for handle in found:
        assert invoke("agents", "create", "--model", handle).exit_code == 0


def test_a_provider_that_does_not_answer_is_named_beside_the_models_of_the_others(tmp_path: Path) -> None:
    with serving_process(tmp_path, LETTA_GRPC_PROVIDERS__AWAY__BASE_URL="http://127.0.0.1:1/v1") as (address, _):
        listed = commands_of(address)("models")
    assert listed.exit_code == 1
    assert "scripted/demo" in listed.stdout.split()
    assert listed.stderr == "letta-grpc: the models of away could not be listed\n"


def test_a_provider_that_is_not_configured_is_told_those_that_are(invoke: Invoke) -> None:
    refused = invoke("models", "--provider", "nobody")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "scripted" in refused.stderr
