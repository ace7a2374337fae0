"""The threads of an engine's agents."""

from letta_grpc.engine.conversations import Conversations
from tests.support.engine import Engine, OneModel


def threads_of(house: Engine) -> Conversations:
    """The use cases of conversations, over an engine's stores."""
    database = house.database
    return Conversations(
        conversations=database.conversations,
        agents=database.agents,
        history=database.history,
        journal=database.journal,
        models=OneModel(house.model),
        clock=house.clock,
    )
