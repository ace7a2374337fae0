"""Agent files."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from letta_grpc.domain.agent_files import VERSION, AgentFile, ConversationFile
from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import AgentId, ConversationId, MessageId, PassageId
from letta_grpc.domain.messages import Message
from letta_grpc.domain.passages import Passage
from letta_grpc.engine.agent_files import ImportRequest
from letta_grpc.engine.agents import NewAgent
from letta_grpc.engine.tools import NewTool
from letta_grpc.transport.convert.agents import agent_to_pb, new_agent_from_pb
from letta_grpc.transport.convert.archive import new_passage_from_pb, passage_to_pb
from letta_grpc.transport.convert.conversations import conversation_to_pb
from letta_grpc.transport.convert.enums import ROLES, TOOL_RETURN_STATUSES
from letta_grpc.transport.convert.inputs import IMAGE_TYPES
from letta_grpc.transport.convert.messages import message_from_pb, message_to_pb
from letta_grpc.transport.convert.rules import MAX_NAME, Rules
from letta_grpc.transport.convert.times import checked_timestamp
from letta_grpc.transport.convert.tools import new_tool_from_pb, tool_to_pb
from letta_grpc.v1 import agent_files_pb2 as pb
from letta_grpc.v1 import (
    agent_service_pb2,
    agents_pb2,
    archive_service_pb2,
    messages_pb2,
    passages_pb2,
    tool_service_pb2,
    tools_pb2,
)

# Any other message has come in one event, which is at most 2 MiB: so may a file's.
_MAX_MESSAGE_BYTES = 2 * 1024 * 1024 - 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A passage's rules are those of CreatePassage, which names the agent; a file's passage belongs to an agent that is still to
# come.
_ANY_AGENT = "agent-00000000-0000-4000-8000-000000000000"


def file_to_pb(file: AgentFile) -> pb.AgentFile:
    """Return an agent as a file."""
    return pb.AgentFile(
        version=VERSION,
        agent=agent_to_pb(file.agent),
        tools=[tool_to_pb(tool) for tool in file.tools],
        conversations=[_conversation_to_pb(each) for each in file.conversations],
        passages=[passage_to_pb(passage) for passage in file.passages],
    )


def _conversation_to_pb(file: ConversationFile) -> pb.ConversationFile:
    return pb.ConversationFile(
        conversation=conversation_to_pb(file.conversation),
        messages=[message_to_pb(message) for message in file.messages],
        context_message_ids=file.context_ids,
    )


def import_from_pb(request: agent_service_pb2.ImportAgentRequest) -> ImportRequest:
    """Return the agent that a file holds, all of it checked."""
    file = request.file
    with Rules() as rules:
        if file.version != VERSION:
            rules.broken("file.version", f"must be {VERSION}, is {file.version}")
        agent = _agent(rules, file.agent, request.name)
        return ImportRequest(
            agent=agent or NewAgent(model=""),
            tools=_tools(rules, file.tools),
            conversations=_conversations(rules, file.conversations),
            passages=_passages(rules, file.passages),
            secrets=rules.metadata("secrets", request.secrets),
        )


def _agent(rules: Rules, sent: agents_pb2.Agent, name: str) -> NewAgent | None:
    rules.text("name", name, MAX_NAME)
    agent = agents_pb2.Agent()
    agent.CopyFrom(sent)
    agent.name = name or sent.name
    agent.secrets.clear()
    for block in agent.memory_blocks:
        # The copy has blocks of its own.
        block.id = ""
    request = agent_service_pb2.CreateAgentRequest(agent=agent, include_base_tools=False)
    try:
        return new_agent_from_pb(request)
    except InvalidRequest as error:
        _take_over(rules, error, "agent", "file.agent")
        return None


def _take_over(rules: Rules, error: InvalidRequest, begins: str, path: str) -> None:
    """Note what another request's rules have found, under the paths of this one."""
    for field, rule in error.fields.items():
        rules.broken(f"{path}{field.removeprefix(begins)}", rule)


def _tools(rules: Rules, sent: Iterable[tools_pb2.Tool]) -> tuple[NewTool, ...]:
    tools = []
    for index, tool in enumerate(sent):
        path = f"file.tools[{index}]"
        if not tool.name or not tool.parameters:
            rules.broken(path, "must have its name and its parameters: no source is run to find them")
        try:
            tools.append(new_tool_from_pb(tool_service_pb2.CreateToolRequest(tool=tool)))
        except InvalidRequest as error:
            _take_over(rules, error, "tool", path)
    for name, count in Counter(tool.name for tool in tools).items():
        if count > 1:
            rules.broken("file.tools", f"{name!r} is there more than once")
    return tuple(tools)


def _passages(rules: Rules, sent: Iterable[passages_pb2.Passage]) -> tuple[Passage, ...]:
    passages = []
    for index, passage in enumerate(sent):
        path = f"file.passages[{index}]"
        created = checked_timestamp(rules, f"{path}.create_time", passage.create_time)
        updated = checked_timestamp(rules, f"{path}.update_time", passage.update_time)
        try:
            agent_id, text, tags = new_passage_from_pb(
                archive_service_pb2.CreatePassageRequest(agent_id=_ANY_AGENT, passage=passage)
            )
        except InvalidRequest as error:
            _take_over(rules, error, "passage", path)
            continue
        id_ = PassageId(passage.id)
        passages.append(Passage(id=id_, agent_id=agent_id, text=text, tags=tags, create_time=created, update_time=updated))
    return tuple(passages)


def _conversations(rules: Rules, sent: Iterable[pb.ConversationFile]) -> tuple[ConversationFile, ...]:
    files = tuple(_conversation(rules, f"file.conversations[{index}]", each) for index, each in enumerate(sent))
    if files and sum(file.conversation.is_default for file in files) != 1:
        rules.broken("file.conversations", "exactly one must be the default one")
    return files


def _conversation(rules: Rules, path: str, sent: pb.ConversationFile) -> ConversationFile:
    given, ids = sent.conversation, set[str]()
    for index, message in enumerate(sent.messages):
        _check_message(rules, f"{path}.messages[{index}]", message)
        if not message.id or message.id in ids:
            rules.broken(f"{path}.messages[{index}].id", "must be there, and once in its conversation")
        ids.add(message.id)
    _check_context(rules, f"{path}.context_message_ids", sent)
    conversation = Conversation(
        id=ConversationId(given.id),
        agent_id=AgentId(given.agent_id),
        title=rules.text(f"{path}.conversation.title", given.title, MAX_NAME),
        is_default=given.is_default,
        model=rules.text(f"{path}.conversation.model", given.model, MAX_NAME),
        metadata=rules.metadata(f"{path}.conversation.metadata", given.metadata),
        create_time=_EPOCH,
        update_time=_EPOCH,
    )
    return ConversationFile(
        conversation=conversation,
        messages=_messages(rules, sent.messages),
        context_ids=tuple(MessageId(id_) for id_ in sent.context_message_ids),
    )


def _messages(rules: Rules, sent: Iterable[messages_pb2.Message]) -> tuple[Message, ...]:
    # What is broken cannot be read, and is not going to be.
    return () if rules.any_broken else tuple(message_from_pb(message) for message in sent)


def _check_message(rules: Rules, path: str, message: messages_pb2.Message) -> None:
    if message.role not in ROLES.from_pb:
        rules.broken(f"{path}.role", "must be one of the roles")
    if (size := message.ByteSize()) > _MAX_MESSAGE_BYTES:
        rules.broken(path, f"must have at most {_MAX_MESSAGE_BYTES} bytes, has {size}")
    checked_timestamp(rules, f"{path}.create_time", message.create_time)
    _check_pieces(rules, path, message)


def _check_pieces(rules: Rules, path: str, message: messages_pb2.Message) -> None:
    for index, part in enumerate(message.content):
        if part.WhichOneof("kind") is None:
            rules.broken(f"{path}.content[{index}]", "must have a kind")
        _check_picture(rules, f"{path}.content[{index}]", part)
    for index, call in enumerate(message.tool_calls):
        if not call.id or not call.name:
            rules.broken(f"{path}.tool_calls[{index}]", "must have id and name")
    for index, returned in enumerate(message.tool_returns):
        if returned.status not in TOOL_RETURN_STATUSES.from_pb or not returned.tool_call_id:
            rules.broken(f"{path}.tool_returns[{index}]", "must have tool_call_id and status")
        for place, part in enumerate(returned.content.parts):
            _check_picture(rules, f"{path}.tool_returns[{index}].content.parts[{place}]", part)
    for index, decision in enumerate(message.decisions):
        if decision.WhichOneof("kind") is None or not decision.tool_call_id:
            rules.broken(f"{path}.decisions[{index}]", "must have tool_call_id, and approve or deny")


def _check_picture(rules: Rules, path: str, part: messages_pb2.ContentPart) -> None:
    """Check that a picture is as a stored one has to be. An address would be fetched by the model's provider."""
    if part.HasField("image") and (part.image.url or not part.image.data or part.image.media_type not in IMAGE_TYPES):
        rules.broken(f"{path}.image", f"must have its data, no url, and as media type one of {', '.join(IMAGE_TYPES)}")


def _check_context(rules: Rules, path: str, sent: pb.ConversationFile) -> None:
    places = {message.id: place for place, message in enumerate(sent.messages)}
    unknown = [index for index, id_ in enumerate(sent.context_message_ids) if id_ not in places]
    for index in unknown:
        rules.broken(f"{path}[{index}]", "is no message of the conversation")
    if not sent.context_message_ids:
        return
    summary, *others = sent.context_message_ids
    if summary not in places or sent.messages[places[summary]].role != messages_pb2.ROLE_SUMMARY:
        rules.broken(path, "must begin with a summary, or be empty")
    elif not unknown:
        _check_end(rules, path, sent, start=min(places[id_] for id_ in (summary, *others[:1])))


def _check_end(rules: Rules, path: str, sent: pb.ConversationFile, start: int) -> None:
    """Check that a context is the end of its conversation, as it is going to be kept: by its summary and its first message."""
    summaries = {message.id for message in sent.messages if message.role == messages_pb2.ROLE_SUMMARY}
    end = [message.id for message in sent.messages[start:] if message.id not in summaries]
    if [id_ for id_ in sent.context_message_ids if id_ not in summaries] != end:
        rules.broken(path, "must name behind its summary all messages from the first that stays on, in their order")
