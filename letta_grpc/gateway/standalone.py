"""The gateway by itself, in front of a remote server. It keeps nothing: killing it loses nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from letta_grpc.gateway.application import gateway_app
from letta_grpc.gateway.exposure import OPEN, OnlyBehindKeys, OpenServerError, wants_keys
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.remote import Tls, open_channel
from letta_grpc.gateway.serving import Certificate, http_serving, listener_on


@asynccontextmanager
async def standing_alone(
    target: str,
    listen: str,
    options: GatewayOptions,
    *,
    tls: Tls = False,
    certificate: Certificate | None = None,
    only_behind_keys: bool = False,
) -> AsyncIterator[str]:
    """Serve HTTP on `listen` by calls to `target`; yield the URL. `tls` is the way to the target. Raises BindError.

    `only_behind_keys`: for a server that wants keys alone, now (raises OpenServerError) and whenever it is there.
    """
    # First: what is wrong with the address is told without asking the server anything.
    with listener_on(listen) as listener:
        async with open_channel(target, tls=tls) as channel:
            app = gateway_app(channel, options)
            if only_behind_keys:
                if await wants_keys(channel) is False:
                    raise OpenServerError(OPEN)
                app = OnlyBehindKeys(app, channel)
            async with http_serving(app, listener, options, certificate) as url:
                try:
                    yield url
                finally:
                    # Before the sockets: so open streams end with an event that says so, not in the middle of a word.
                    await channel.close()
