"""One scenario: everybody at once, and in the end what the server has to say about it."""

import asyncio
from collections.abc import AsyncIterator

from letta_grpc.v1 import agent_service_pb2, agents_pb2, block_service_pb2, blocks_pb2, messages_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.promises.board import Board
from tests.promises.calling import ask, read
from tests.promises.participants import Killer, Reader, Writer
from tests.promises.plans import Plan
from tests.support.histories import LISTED, History, Stream, event_bodies
from tests.support.servers import MortalServer

PAGE = 100


async def play(server: MortalServer, plan: Plan, *, seconds: float = 50) -> History:
    """Do what the plan says; return what happened."""
    board = Board(History())
    async with asyncio.timeout(seconds):
        agents = await _make_agents(server, plan.agents)
        killer = Killer(server, board, plan.strikes)
        async with asyncio.TaskGroup() as group:
            group.create_task(killer.work())
            for number, visits in enumerate(plan.readers):
                group.create_task(Reader(str(number), server, board).work(visits))
            async with asyncio.TaskGroup() as writers:
                for number, jobs in enumerate(plan.writers):
                    writers.create_task(Writer(str(number), server, board, agents).work(jobs))
            board.end()
        await _ask_about_everything(server, board, agents)
    return board.history


async def _make_agents(server: MortalServer, count: int) -> list[str]:
    """Agents with a block of their own each, and one that they share."""
    asked = block_service_pb2.CreateBlockRequest(block=blocks_pb2.Block(label="shared"))
    shared = await ask(server, "BlockService/CreateBlock", asked, block_service_pb2.CreateBlockResponse.FromString)
    blocks = [blocks_pb2.Block(label="own"), blocks_pb2.Block(id=shared.block.id)]
    agent = agents_pb2.Agent(model="scripted/script", memory_blocks=blocks)
    wanted = agent_service_pb2.CreateAgentRequest(agent=agent)
    make = agent_service_pb2.CreateAgentResponse.FromString
    return [(await ask(server, "AgentService/CreateAgent", wanted, make)).agent.id for _ in range(count)]


async def _ask_about_everything(server: MortalServer, board: Board, agents: list[str]) -> None:
    history = board.history
    history.lives = server.life
    for run_id in board.runs:
        asked = pb.GetRunRequest(run_id=run_id)
        history.runs[run_id] = (await ask(server, "RunService/GetRun", asked, pb.GetRunResponse.FromString)).run
        history.logs[run_id] = await _log_of(server, board, run_id)
        listed = Stream(reader="ListRunEvents", run_id=run_id, life=server.life)
        listed.responses = [page async for page in _listed(server, run_id)]
        history.streams.append(listed)
    for agent_id in agents:
        history.conversations[agent_id] = [message async for message in _messages(server, agent_id)]
        for label in ("own", "shared"):
            wanted = agent_service_pb2.GetMemoryBlockRequest(agent_id=agent_id, label=label)
            found = agent_service_pb2.GetMemoryBlockResponse.FromString
            block = (await ask(server, "AgentService/GetMemoryBlock", wanted, found)).block
            history.blocks[block.id] = block


async def _log_of(server: MortalServer, board: Board, run_id: str) -> tuple[bytes, ...]:
    async def stay(_stream: Stream) -> bool:
        return True

    stream = Stream(reader="the log", run_id=run_id)
    await read(server, board, stream, pb.AttachRunRequest(run_id=run_id), stay)
    return tuple(stream.bodies)


async def _listed(server: MortalServer, run_id: str) -> AsyncIterator[tuple[bytes, ...]]:
    token = ""
    while True:
        asked = pb.ListRunEventsRequest(run_id=run_id, page_size=PAGE, page_token=token)
        body = await ask(server, "RunService/ListRunEvents", asked, bytes)
        yield event_bodies(body, LISTED)
        if not (token := pb.ListRunEventsResponse.FromString(body).next_page_token):
            return


async def _messages(server: MortalServer, agent_id: str) -> AsyncIterator[messages_pb2.Message]:
    token = ""
    while True:
        asked = agent_service_pb2.ListMessagesRequest(agent_id=agent_id, page_size=PAGE, page_token=token)
        page = await ask(server, "AgentService/ListMessages", asked, agent_service_pb2.ListMessagesResponse.FromString)
        for message in page.messages:
            yield message
        if not (token := page.next_page_token):
            return
