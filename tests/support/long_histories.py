"""Histories that are long enough to be changed in steps, and what there is of them."""

import asyncio

from sqlalchemy import func, select

from letta_grpc.adapters.sql.schema import conversations, messages, removals, runs, steps, waiting_calls
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.testing.stores.world import World
from tests.support.asking import until
from tests.support.sql_worlds import Opened

TURNS = 30


async def long_history(world: World) -> tuple[Agent, Conversation]:
    agent = await world.agent()
    conversation = await world.conversation(agent)
    for number in range(TURNS):
        await world.turn(conversation, f"question {number}", f"answer {number}")
    return agent, conversation


async def left(file: Opened) -> dict[str, int]:
    """How many rows there are of what a history is made of."""
    tables = (removals, conversations, runs, messages, steps, waiting_calls)
    return await file.database.read(
        lambda connection: {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}
    )


async def unfinished(file: Opened) -> bool:
    return (await left(file))["removals"] > 0


async def ended(file: Opened) -> dict[str, int]:
    """Wait until no removal is unfinished; return what is left."""

    async def finished() -> bool:
        return not await unfinished(file)

    async with asyncio.timeout(30):
        await until(finished)
    return await left(file)
