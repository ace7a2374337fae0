"""Storing agents that come from files. The contract: `letta_grpc.testing.stores.agent_files`."""

from typing import Protocol

from letta_grpc.domain.agent_files import Import
from letta_grpc.domain.agents import Agent


class AgentImporter(Protocol):
    """Stores an agent with all that is its own."""

    async def put(self, imported: Import) -> Agent:
        """Store all of it, or nothing: nobody finds it before it is whole. One of the conversations is the default one.

        Its runs have no events, as if they had been trimmed. Raises NameTaken for a tool, and what `AgentStore.create` raises.
        """
        ...
