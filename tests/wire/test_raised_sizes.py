"""A server that is told to take more also sends more: so an agent of any size can be moved."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google.protobuf import json_format

from letta_grpc.app import RunningServer, serving
from letta_grpc.client import AsyncClient, MessageTooLarge
from letta_grpc.settings import Settings
from letta_grpc.v1 import agent_files_pb2, agents_pb2, passages_pb2
from tests.requirements.registry import requirement

pytestmark = [pytest.mark.timeout(60)]

DEFAULT, RAISED = 4 * 2**20, 16 * 2**20
NOTES = [f"{number} {'lorem ipsum ' * 1000}" for number in range(500)]


def served(folder: Path, **settings: Any) -> AbstractAsyncContextManager[RunningServer]:  # noqa: ANN401 - of any field
    database = f"sqlite:///{folder / 'letta.db'}"
    return serving(Settings(listen="127.0.0.1:0", http="127.0.0.1:0", database=database, drain_seconds=0, **settings), {})


def told(file: agent_files_pb2.AgentFile) -> Iterator[str]:
    return (passage.text for passage in file.passages)


@requirement("sizes")
async def test_a_large_agent_goes_in_and_out_where_both_are_allowed_and_nowhere_else(tmp_path: Path) -> None:
    agent = agents_pb2.Agent(name="ada", model="scripted/echo")
    file = agent_files_pb2.AgentFile(version=1, agent=agent, passages=[passages_pb2.Passage(text=note) for note in NOTES])
    assert file.ByteSize() > DEFAULT
    async with served(tmp_path, max_message_bytes=RAISED) as server, AsyncClient(server.address) as client:
        first = await client.agents.import_(file)
        exported = await client.agents.export(first.id)
        second = await client.agents.import_(exported, name="bob")
        assert list(told(exported)) == list(told(await client.agents.export(second.id))) == NOTES
        async with httpx2.AsyncClient(base_url=f"{server.http}/api/v1", trust_env=False, timeout=20) as http:
            answer = await http.get(f"/agents/{first.id}:export")
            assert list(told(json_format.ParseDict(answer.json()["file"], agent_files_pb2.AgentFile()))) == NOTES
            assert (await http.post("/agents:import", json=answer.json())).status_code == 200
    async with served(tmp_path) as server, AsyncClient(server.address) as client:
        with pytest.raises(MessageTooLarge, match="LETTA_GRPC_MAX_MESSAGE_BYTES"):
            await client.agents.export(first.id)
        async with httpx2.AsyncClient(base_url=f"{server.http}/api/v1", trust_env=False, timeout=20) as http:
            answer = await http.get(f"/agents/{first.id}:export")
        assert answer.status_code == 413
        assert "LETTA_GRPC_MAX_MESSAGE_BYTES" in answer.text


async def test_a_server_that_takes_less_sends_what_any_client_takes(tmp_path: Path) -> None:
    async with served(tmp_path, max_message_bytes=2**16) as server, AsyncClient(server.address) as client:
        agent = await client.agents.create(model="scripted/echo")
        for note in NOTES[:20]:
            await client.archive.create(agent.id, note)
        assert list(told(await client.agents.export(agent.id))) == NOTES[:20]
