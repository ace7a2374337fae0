"""Agents by their names, which people remember better than ids."""

import re
from collections.abc import Sequence
from itertools import islice

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.pages import first
from letta_grpc.cli.rendering import visible
from letta_grpc.client import AsyncClient, Client

_ID = re.compile(r"agent-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# As many as are told where it is not clear which is meant.
_MOST = 10


async def id_of(client: AsyncClient, agent: str) -> str:
    """Return the id of an agent that is meant by its id, or by a name that no other has. Exits where there is no such."""
    if _is_no_name(agent):
        return agent
    return _only(agent, [found.id for found in await first(_MOST, client.agents.list(name=agent, page_size=_MOST))])


def id_of_sync(client: Client, agent: str) -> str:
    """Do the same with the other client."""
    if _is_no_name(agent):
        return agent
    return _only(agent, [found.id for found in islice(client.agents.list(name=agent, page_size=_MOST), _MOST)])


def _is_no_name(name: str) -> bool:
    # A list that is asked for the empty name gives all agents, which on some servers is a single one.
    return not name or _ID.fullmatch(name) is not None


def _only(name: str, ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return ids[0]
    several = f"several agents have the name {visible(name)}, say which: {', '.join(ids)}"
    typer.echo(f"letta-grpc: {several if ids else f'there is no agent {visible(name)}'}", err=True)
    raise typer.Exit(Exit.USAGE if ids else Exit.NOT_FOUND)
