"""Schemathesis against `/openapi.json`: what the document says is what the server does, and nothing makes it fail.

All checks but one hold as they are. The exception: a proto cannot say that an id has a shape or that a page has 1 to 1000
items, so what fits the document may still be refused, by a status that says why.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server_process import BIN, environment, serving_process

EXAMPLES = os.environ.get("LETTA_TEST_EXAMPLES", "5")
HOOKS = Path(__file__).parents[1] / "support/schemathesis_hooks.py"
REFUSALS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "404", "409", "410", "426"]
"""
# What is made up here must neither be run as a command nor be asked for on a network.
HARMLESS = {
    "LETTA_GRPC_MCP_STDIO": "false",
    "LETTA_GRPC_MCP_PRIVATE_ADDRESSES": "false",
    "LETTA_GRPC_IMAGE_PRIVATE_ADDRESSES": "false",
    "LETTA_GRPC_CALLBACK_PRIVATE_ADDRESSES": "false",
    "LETTA_GRPC_TOOL_NETWORK": "false",
    "LETTA_GRPC_TOOL_SANDBOX": "off",
}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving_process(tmp_path, "--http", "127.0.0.1:0", **HARMLESS) as (line, process):
        yield line.partition(" http=")[2]
        assert process.poll() is None
    logged = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]
    assert [line for line in logged if line["level"] == "error"] == []


def schemathesis(folder: Path, url: str, config: str, *flags: str) -> None:
    (folder / "schemathesis.toml").write_text(f'hooks = "{HOOKS}"\n{config}{REFUSALS}')
    command = ["--config-file", "schemathesis.toml", "run", f"{url}/openapi.json", *flags]
    fixed = ["--seed", "1", "--no-shrink", "--continue-on-failure", "--request-timeout", "20", "--warnings", "off"]
    told = subprocess.run(  # noqa: S603 - a tool of ours
        [BIN / "schemathesis", *command, *fixed],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "No issues found" in told.stdout


def known(url: str) -> str:
    """Ids of things that there are, in the place of made-up ones."""
    with httpx2.Client(base_url=f"{url}/api/v1", trust_env=False) as client:

        def post(path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
            return client.post(path, json=body).raise_for_status().json()

        blocks = [{"label": "human", "value": "Likes short answers."}]
        agent_id = post("/agents", agent={"model": "scripted/echo", "memoryBlocks": blocks})["agent"]["id"]
        run = post(f"/agents/{agent_id}/runs:execute", run={"messages": [{"user": {"text": "one two"}}]})["run"]
        block = client.get(f"/agents/{agent_id}/memory/human").json()["block"]
    ids = {"agent_id": agent_id, "run_id": run["id"], "conversation_id": run["conversationId"], "block_id": block["id"]}
    values = "".join(f'"path.{name}" = "{value}"\n' for name, value in (ids | {"label": "human"}).items())
    return f"[parameters]\n{values}"


@pytest.mark.timeout(300)
def test_every_boundary_of_every_parameter_and_every_other_verb(tmp_path: Path, url: str) -> None:
    schemathesis(tmp_path, url, "", "--phases", "coverage")


@pytest.mark.timeout(300)
def test_made_up_requests_about_things_that_there_are(tmp_path: Path, url: str) -> None:
    schemathesis(tmp_path, url, known(url), "--phases", "fuzzing", "-n", EXAMPLES, "--exclude-method", "DELETE")
