"""`letta-grpc gateway`."""

import asyncio
import logging
import os
from collections.abc import Callable
from ssl import SSLContext
from typing import Annotated, Any

import typer
import uvloop

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.flags import read_settings, with_settings
from letta_grpc.cli.logs import configure_logging
from letta_grpc.cli.open_files import allow_many_connections
from letta_grpc.cli.server import DEFAULT_TARGET, Security, Target, Tls, TlsCa, security
from letta_grpc.cli.signals import ending_signals
from letta_grpc.domain.addresses import is_loopback
from letta_grpc.settings import Settings
from letta_grpc.telemetry import sentry_from_env

logger = logging.getLogger(__name__)

EPILOG = """
Prints one line on stdout once it accepts calls: listening http=http://127.0.0.1:8283. It keeps nothing: any number of them may
stand in front of a server, and a stream that one was cut off with is resumed at another. Callers' keys are passed on; on an
address that other machines reach it serves nothing of a server that wants none.

\b
Examples:
  letta-grpc gateway --target 127.0.0.1:50051
  letta-grpc gateway --target agents.internal:50051 --tls --http 0.0.0.0:8283
"""

Http = Annotated[str, typer.Option("--http", envvar="LETTA_GRPC_HTTP", help="Address to serve HTTP on; port 0 picks one.")]
# A restart takes a few seconds. An EventSource waits as long as it has to, but gives up for good at the first 503;
# proxies cut what is silent for longer.
RETURN_SECONDS = 10.0
Hold = Annotated[
    float, typer.Option(min=0, help="How many seconds a stream that is asked for by GET waits for a server that is away.")
]


@with_settings(
    "cors_origins", "chat_model", "max_message_bytes", "tls_certificate_file", "tls_key_file", "log_level", "log_format"
)
def gateway(
    target: Target = DEFAULT_TARGET,
    tls: Tls = False,  # noqa: FBT002 - off by default
    tls_ca: TlsCa = None,
    http: Http = "127.0.0.1:8283",
    hold_seconds: Hold = RETURN_SECONDS,
    **flags: Any,  # noqa: ANN401 - `with_settings` says what is in it
) -> None:
    """Serve HTTP in front of a server that runs elsewhere."""
    # The addresses of a server, which this is none, do not count here.
    settings = read_settings(flags, listen="127.0.0.1:0", http="")
    configure_logging(settings)
    allow_many_connections()
    sentry = sentry_from_env(os.environ)
    try:
        code = uvloop.run(_serve(target, http, settings, tls=security(tls, tls_ca), hold_seconds=hold_seconds))
    finally:
        if sentry:
            sentry.close()
    raise typer.Exit(code)


async def _serve(target: str, listen: str, settings: Settings, *, tls: Security, hold_seconds: float) -> Exit:
    from letta_grpc.gateway.exposure import OpenServerError  # noqa: PLC0415 - only who runs one pays for loading it
    from letta_grpc.gateway.options import GatewayOptions  # noqa: PLC0415 - see above
    from letta_grpc.gateway.serving import BindError  # noqa: PLC0415 - see above
    from letta_grpc.gateway.standalone import standing_alone  # noqa: PLC0415 - see above
    from letta_grpc.transport.renewal import UnusableFileError  # noqa: PLC0415 - see above

    stop = asyncio.Event()
    for number in ending_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    is_reachable = not is_loopback(listen)
    options = GatewayOptions(
        cors_origins=settings.cors_origins,
        # Whether the server behind it wants keys is not known here; on this machine's own address, no other name will do.
        any_host=is_reachable,
        return_seconds=hold_seconds,
        max_body_bytes=2 * settings.max_message_bytes,
        chat_model=settings.chat_model,
        anthropic_base_url=settings.anthropic.base_url,
        anthropic_api_key=settings.anthropic.key,
    )
    try:
        certificate = _certificate(settings)
        serving = standing_alone(target, listen, options, tls=tls, certificate=certificate, only_behind_keys=is_reachable)
        async with serving as url:
            typer.echo(f"listening http={url}")
            await stop.wait()
    except (UnusableFileError, BindError, OpenServerError) as error:
        typer.echo(f"letta-grpc: {error}", err=True)
        return Exit.CANNOT_START
    return Exit.OK


def _certificate(settings: Settings) -> Callable[[], SSLContext] | None:
    """Return what gives the certificate to serve with, None for plain text. Raises UnusableFileError."""
    from letta_grpc.transport.certificates import RenewableTls  # noqa: PLC0415 - as above

    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return RenewableTls(settings.tls_certificate_file, settings.tls_key_file).context_now
