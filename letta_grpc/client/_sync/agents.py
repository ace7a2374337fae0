"""`client.agents`: the calls of AgentService, as methods."""

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.client._sync.connection import Connection
from letta_grpc.client.requests import Kind, agent_file, agent_kind, change, compaction_mode, memory_blocks
from letta_grpc.client.values import RequestId, names_of, request_id_of, texts, timestamp
from letta_grpc.v1 import (
    agent_files_pb2,
    agent_service_pb2,
    agent_service_pb2_grpc,
    agents_pb2,
    blocks_pb2,
    messages_pb2,
    runs_pb2,
)


class Agents:
    """`client.agents`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = agent_service_pb2_grpc.AgentServiceStub(connection.channel)

    def create(
        self,
        *,
        model: str,
        name: str | None = None,
        persona: str | None = None,
        human: str | None = None,
        memory_blocks: Mapping[str, str] | Sequence[blocks_pb2.Block] | None = None,
        system: str | None = None,
        description: str | None = None,
        tools: Sequence[str] = (),
        include_base_tools: bool | None = None,
        kind: Kind | None = None,
        tool_rules: Sequence[agents_pb2.ToolRule] = (),
        tool_approvals: Mapping[str, bool] | None = None,
        secrets: Mapping[str, str] | None = None,
        sleeptime: agents_pb2.Sleeptime | None = None,
        model_settings: agents_pb2.ModelSettings | None = None,
        tags: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        context_window: int | None = None,
        timezone: str | None = None,
    ) -> agents_pb2.Agent:
        """Make an agent; return it as stored.

        `persona` and `human` are the values of the memory blocks with these labels. `memory_blocks` adds others: values by
        label, or blocks; a block with an id is shared with the agents that have it already. Without `tools` the agent has the
        base tools, unless `include_base_tools` is False; with True it has them beside `tools`. `tool_approvals` says by the
        name of a tool whether its calls wait for approval.
        """
        agent = agents_pb2.Agent(
            name=name or "",
            description=description or "",
            system=system or "",
            model=model,
            model_settings=model_settings,
            memory_blocks=_blocks(persona, human, memory_blocks),
            tools=names_of("tools", tools),
            kind=agent_kind(kind),
            tool_rules=tool_rules,
            tool_approvals=tool_approvals,
            secrets=secrets,
            sleeptime=sleeptime,
            tags=names_of("tags", tags),
            metadata=texts(metadata),
            context_window=context_window or 0,
            timezone=timezone or "",
        )
        request = agent_service_pb2.CreateAgentRequest(agent=agent, include_base_tools=include_base_tools)
        return (self._connection.change(self._stub.CreateAgent, request)).agent

    def get(self, agent_id: str) -> agents_pb2.Agent:
        """Return an agent with its memory blocks."""
        request = agent_service_pb2.GetAgentRequest(agent_id=agent_id)
        return (self._connection.ask(self._stub.GetAgent, request)).agent

    def list(
        self,
        *,
        name: str | None = None,
        tags: Sequence[str] = (),
        after_id: str | None = None,
        page_size: int | None = None,
        descending: bool = False,
    ) -> Generator[agents_pb2.Agent, None]:
        """Iterate over agents, oldest first unless `descending`, over all pages; with all of these tags.

        `after_id`: only what comes behind that agent in this order.
        """
        request = agent_service_pb2.ListAgentsRequest(
            name=name or "",
            tags=names_of("tags", tags),
            after_id=after_id or "",
            page_size=page_size or 0,
            descending=descending,
        )
        return self._connection.pages(self._stub.ListAgents, request, lambda page: page.agents)

    def update(
        self,
        agent_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        system: str | None = None,
        model: str | None = None,
        model_settings: agents_pb2.ModelSettings | None = None,
        tools: Sequence[str] | None = None,
        tool_rules: Sequence[agents_pb2.ToolRule] | None = None,
        tool_approvals: Mapping[str, bool] | None = None,
        secrets: Mapping[str, str] | None = None,
        sleeptime: agents_pb2.Sleeptime | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        context_window: int | None = None,
        timezone: str | None = None,
        memory_blocks: Sequence[blocks_pb2.Block] | None = None,
    ) -> agents_pb2.Agent:
        """Change what is given and leave the rest; an empty value clears. A run at work keeps what it started with.

        Lists and mappings replace what the agent has. Of `secrets`, of which answers have the names alone, an empty value
        keeps the one that the agent has. `memory_blocks` are stored blocks, known by their ids.
        """
        agent, mask = change(
            agents_pb2.Agent(),
            {
                "name": name,
                "description": description,
                "system": system,
                "model": model,
                "model_settings": model_settings,
                "tools": names_of("tools", tools),
                "tool_rules": tool_rules,
                "tool_approvals": tool_approvals,
                "secrets": secrets,
                "sleeptime": sleeptime,
                "tags": names_of("tags", tags),
                "metadata": texts(metadata),
                "context_window": context_window,
                "timezone": timezone,
                "memory_blocks": memory_blocks,
            },
        )
        request = agent_service_pb2.UpdateAgentRequest(agent_id=agent_id, agent=agent, update_mask=mask)
        return (self._connection.ask(self._stub.UpdateAgent, request)).agent

    def delete(self, agent_id: str) -> None:
        """Remove an agent with its conversations, runs and notes; memory blocks stay."""
        self._connection.change(self._stub.DeleteAgent, agent_service_pb2.DeleteAgentRequest(agent_id=agent_id))

    def messages(
        self,
        agent_id: str,
        *,
        conversation_id: str | None = None,
        after_id: str | None = None,
        page_size: int | None = None,
        descending: bool = False,
    ) -> Generator[messages_pb2.Message, None]:
        """Iterate over the messages of a conversation, oldest first unless `descending`, over all pages.

        The `conversation_id` `"-"` stands for all of the agent's conversations. `after_id`: only what comes behind that
        message in this order.
        """
        request = agent_service_pb2.ListMessagesRequest(
            agent_id=agent_id,
            conversation_id=conversation_id or "",
            after_id=after_id or "",
            page_size=page_size or 0,
            descending=descending,
        )
        return self._connection.pages(self._stub.ListMessages, request, lambda page: page.messages)

    def reset_messages(self, agent_id: str, *, conversation_id: str | None = None) -> None:
        """Empty a conversation, its context included."""
        request = agent_service_pb2.ResetMessagesRequest(agent_id=agent_id, conversation_id=conversation_id or "")
        self._connection.change(self._stub.ResetMessages, request)

    def compact(
        self,
        agent_id: str,
        *,
        conversation_id: str | None = None,
        everything: bool = False,
        request_id: RequestId | None = None,
    ) -> runs_pb2.Run:
        """Replace older messages of a conversation's context, or `everything`, by a summary; return the run that does it."""
        request = agent_service_pb2.CompactAgentRequest(
            agent_id=agent_id,
            conversation_id=conversation_id or "",
            request_id=request_id_of(request_id),
            mode=compaction_mode(everything=everything),
        )
        return (self._connection.ask(self._stub.CompactAgent, request)).run

    def capture(
        self,
        *user_texts: str,
        answer: str = "",
        agent_id: str | None = None,
        conversation_id: str | None = None,
        model: str | None = None,
        key: str | None = None,
        metadata: Mapping[str, str] | None = None,
        request_id: RequestId | None = None,
    ) -> runs_pb2.Run:
        """Put a turn that happened elsewhere into an agent's conversation; return the run that does it.

        Without `agent_id` the capture agent of `key` remembers it; without `key`, that of the API key's holder.
        """
        request = agent_service_pb2.CaptureMessagesRequest(
            agent_id=agent_id or "",
            conversation_id=conversation_id or "",
            request_id=request_id_of(request_id),
            user_texts=user_texts,
            assistant_text=answer,
            model=model or "",
            capture_key=key or "",
            metadata=texts(metadata),
        )
        return (self._connection.ask(self._stub.CaptureMessages, request)).run

    def export(
        self, agent_id: str, *, omit_messages: bool = False, omit_passages: bool = False
    ) -> agent_files_pb2.AgentFile:
        """Return an agent with all that is its own. `google.protobuf.json_format.MessageToJson` writes it as JSON."""
        request = agent_service_pb2.ExportAgentRequest(
            agent_id=agent_id, omit_messages=omit_messages, omit_passages=omit_passages
        )
        return (self._connection.ask(self._stub.ExportAgent, request)).file

    def import_(
        self, file: agent_files_pb2.AgentFile | str, *, name: str | None = None, secrets: Mapping[str, str] | None = None
    ) -> agents_pb2.Agent:
        """Make an agent from a file, all of it or nothing; return it as stored.

        The file is what `export` gave, or its JSON text. Raises ValueError for text that is no such file.
        """
        request = agent_service_pb2.ImportAgentRequest(file=agent_file(file), name=name or "", secrets=secrets)
        return (self._connection.change(self._stub.ImportAgent, request)).agent

    def search_messages(
        self,
        agent_id: str,
        query: str = "",
        *,
        conversation_id: str | None = None,
        roles: "Sequence[messages_pb2.Role.ValueType]" = (),
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = None,
    ) -> Sequence[agent_service_pb2.FoundMessage]:
        """Return the messages that fit the query best, best first: of one conversation, or of all of the agent's.

        The `agent_id` `"-"` stands for all agents, the `conversation_id` `"default"` for the agent's default one. Without a
        query the newest messages are returned. Times without a zone are local.
        """
        request = agent_service_pb2.SearchMessagesRequest(
            agent_id=agent_id,
            query=query,
            conversation_id=conversation_id or "",
            roles=roles,
            create_time_from=timestamp(created_from),
            create_time_before=timestamp(created_before),
            limit=limit or 0,
        )
        return (self._connection.ask(self._stub.SearchMessages, request)).results

    def context(
        self, agent_id: str, *, conversation_id: str | None = None, fields: Sequence[str] = ()
    ) -> agent_service_pb2.Context:
        """Return what the model would be shown now, and what each part of it costs in tokens; with `fields` only those."""
        mask = FieldMask(paths=names_of("fields", fields))
        request = agent_service_pb2.GetContextRequest(agent_id=agent_id, conversation_id=conversation_id or "", read_mask=mask)
        return (self._connection.ask(self._stub.GetContext, request)).context

    def block(self, agent_id: str, label: str) -> blocks_pb2.Block:
        """Return the memory block that the agent has under a label."""
        request = agent_service_pb2.GetMemoryBlockRequest(agent_id=agent_id, label=label)
        return (self._connection.ask(self._stub.GetMemoryBlock, request)).block

    def update_block(
        self,
        agent_id: str,
        label: str,
        *,
        value: str | None = None,
        new_label: str | None = None,
        description: str | None = None,
        limit: int | None = None,
        read_only: bool | None = None,
        metadata: Mapping[str, str] | None = None,
        expected_version: int | None = None,
    ) -> blocks_pb2.Block:
        """Change the memory block that the agent has under a label, for every agent that shares it.

        With an `expected_version` only if the block still has it; otherwise ConcurrentChange.
        """
        block, mask = change(
            blocks_pb2.Block(),
            {
                "label": new_label,
                "value": value,
                "description": description,
                "limit": limit,
                "read_only": read_only,
                "metadata": texts(metadata),
            },
        )
        request = agent_service_pb2.UpdateMemoryBlockRequest(
            agent_id=agent_id, label=label, block=block, update_mask=mask, expected_version=expected_version
        )
        # Not repeated: under a new label the second try would not find what the first one renamed.
        return (self._connection.change(self._stub.UpdateMemoryBlock, request)).block


# Under a name of its own, because `create` has an argument of that name.
_blocks = memory_blocks
