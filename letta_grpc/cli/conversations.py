"""`letta-grpc conversations`."""

from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.message import Message

from letta_grpc.cli.console import PipedConsole
from letta_grpc.cli.exits import Exit
from letta_grpc.cli.history import show_message, text_of
from letta_grpc.cli.naming import id_of
from letta_grpc.cli.pages import LARGEST_PAGE, each, first
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import columns, json_line, plain, to_the_minute
from letta_grpc.cli.server import Json, Server, asynchronous, calling
from letta_grpc.client import AsyncClient

conversations = typer.Typer(
    name="conversations",
    help="List an agent's conversations, read what was said there, and delete them.",
    epilog="Example: letta-grpc conversations list --agent agent-…, then chat --conversation conv-… to go on there.",
    no_args_is_help=True,
)
ConversationId = Annotated[str, typer.Argument(help="The conversation's id, conv-….")]
# Behind what was said last may stand calls, and what they gave.
_LOOKED_AT = 10
_SHOWN_CHARACTERS = 50


@conversations.command("list")
@asynchronous
async def list_conversations(
    *,
    agent: Annotated[str, typer.Option(help="The agent whose conversations they are, by id or name.")],
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """List an agent's conversations, newest first."""
    async with calling(server) as client:
        agent_id = await id_of(client, agent)
        found = await first(limit, client.conversations.list(agent_id, page_size=min(limit, LARGEST_PAGE), descending=True))
        if as_json:
            for conversation in found:
                typer.echo(json_line(conversation))
        else:
            rows = await each(found, lambda conversation: _row(client, plain(conversation)))
            typer.echo(columns(("id", "title", "created", "said last"), rows))
    return Exit.OK


@conversations.command()
@asynchronous
async def messages(
    conversation_id: ConversationId = "",
    *,
    agent: Annotated[str, typer.Option(help="In place of that: an agent, by id or name, for its default conversation.")] = "",
    last: Annotated[int | None, typer.Option(min=1, help="Only so many, the newest.")] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Print what was said in a conversation, calls and what they gave included, oldest first. The times are UTC."""
    if bool(conversation_id) == bool(agent):
        raise typer.BadParameter("give a conversation's id, or an agent with --agent")
    console = PipedConsole(highlight=False)

    def show(message: Message) -> None:
        if as_json:
            typer.echo(json_line(message))
        else:
            show_message(console, plain(message))

    async with calling(server) as client:
        agent_id = await id_of(client, agent) if agent else (await client.conversations.get(conversation_id)).agent_id
        if last:
            for message in reversed(await _newest(last, client, agent_id, conversation_id)):
                show(message)
        else:
            async for message in client.agents.messages(agent_id, conversation_id=conversation_id, page_size=LARGEST_PAGE):
                show(message)
    return Exit.OK


@conversations.command()
@asynchronous
async def delete(conversation_id: ConversationId, *, server: Server) -> Exit:
    """Delete a conversation with its messages and runs. An agent's default one goes with the agent alone."""
    async with calling(server) as client:
        await client.conversations.delete(conversation_id)
    return Exit.OK


async def _newest(limit: int, client: AsyncClient, agent_id: str, conversation_id: str) -> Sequence[Message]:
    size = min(limit, LARGEST_PAGE)
    said = client.agents.messages(agent_id, conversation_id=conversation_id, page_size=size, descending=True)
    return await first(limit, said)


async def _row(client: AsyncClient, conversation: ProtoJson) -> tuple[str, str, str, str]:
    title = conversation.get("title") or ("(the default one)" if conversation.get("isDefault") else "")
    newest = [plain(message) for message in await _newest(_LOOKED_AT, client, conversation["agentId"], conversation["id"])]
    said = next((text for message in newest if (text := text_of(message))), "")
    return conversation["id"], title, to_the_minute(conversation["createTime"]), _shortened(said)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 1]}…"
