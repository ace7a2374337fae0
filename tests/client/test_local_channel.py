from pathlib import Path

import pytest

from letta_grpc.app import serving_in_process
from letta_grpc.client import AgentNotFound, AsyncClient
from letta_grpc.settings import Settings


async def test_a_client_works_over_a_channel_in_process(tmp_path: Path) -> None:
    settings = Settings.from_env({"LETTA_GRPC_DATABASE": f"sqlite:///{tmp_path / 'letta.db'}"})
    async with serving_in_process(settings, {}) as house, house.channel() as channel, AsyncClient(channel=channel) as client:
        agent = await client.agents.create(model="scripted/echo")
        async with client.stream(agent.id, "in process") as stream:
            assert stream.run_id
            assert await stream.text() == "in process"
        async with client.stream(agent.id, "left alone") as stream:
            await anext(stream)
        assert await client.attach(await stream.started()).text() == "left alone"
        with pytest.raises(AgentNotFound):
            await client.agents.get("agent-00000000-0000-4000-8000-000000000000")
