"""`letta-grpc models`."""

from typing import Annotated

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import print_list, visible
from letta_grpc.cli.server import Json, Server, asynchronous, calling

EPILOG = """
A model that is not listed may work all the same: some providers list none, and some not all. Exits with 1 if a provider's list
could not be had; those of the others are printed.

\b
Examples:
  letta-grpc models
  letta-grpc models --provider openai
"""


@asynchronous
async def models(
    *,
    provider: Annotated[str, typer.Option(help="Only this provider's models.")] = "",
    server: Server,
    as_json: Json = False,
) -> Exit:
    """List the models that agents can have, as the server's providers tell them."""
    async with calling(server) as client:
        found = await client.models.list(provider=provider or None)
    print_list(found.models, ("model", "context window"), _row, as_json=as_json)
    for name in found.unreachable_providers:
        typer.echo(f"letta-grpc: the models of {visible(name)} could not be listed", err=True)
    return Exit.FAILED if found.unreachable_providers else Exit.OK


def _row(model: ProtoJson) -> tuple[str, str]:
    return model["handle"], str(model.get("contextWindow", ""))
