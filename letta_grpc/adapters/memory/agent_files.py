"""Agents that come from files, in memory."""

from letta_grpc.adapters.memory.agents import MemoryAgentStore
from letta_grpc.adapters.memory.state import Compaction, MemoryState, StoredRun
from letta_grpc.domain.agent_files import Import, ImportedConversation
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import NameTaken
from letta_grpc.domain.runs import Run, RunSpec

# `run_started` and `run_finished`, which nobody keeps.
_EVENTS = 2


class MemoryAgentImporter:
    """Stores agents that come from files."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def put(self, imported: Import) -> Agent:
        """Store an agent with all that is its own, or nothing."""
        state = self._state
        names = {tool.name for tool in state.tools}
        for tool in imported.tools:
            if tool.name in names:
                raise NameTaken(name=tool.name)
        default = next(each for each in imported.conversations if each.conversation.is_default)
        # The first that can be refused, and the last.
        agent = await MemoryAgentStore(state).create(imported.agent, default.conversation)
        for tool in imported.tools:
            state.tools.add(tool.id, tool)
        for each in imported.conversations:
            if each is not default:
                state.add_conversation(each.conversation)
            self._fill(each)
        for passage in imported.passages:
            state.passages.add(passage.id, passage)
        return agent

    def _fill(self, each: ImportedConversation) -> None:
        state, id_ = self._state, each.conversation.id
        if each.run:
            self._add_run(each.run)
        for message in each.messages:
            state.messages[id_].add(message.id, message)
            if message.id == each.summary:
                state.compactions[id_] = Compaction(message, each.kept_from)

    def _add_run(self, run: Run) -> None:
        spec = RunSpec(messages=(), kind=run.kind)
        stored = StoredRun(run=run, spec=spec, fingerprint="", traceparent=None, last_sequence_number=_EVENTS)
        self._state.runs.add(run.id, stored)
        self._state.run_of_request[run.request_id] = run.id
