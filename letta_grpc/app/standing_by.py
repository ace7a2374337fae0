"""Serving from a database that another server may have first, or that may go away and come back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError
from letta_grpc.app.failures import DatabaseTaken, NoDatabase, unusable
from letta_grpc.app.serving import RunningServer, serving
from letta_grpc.settings import Settings

logger = logging.getLogger(__name__)

# Nobody is served meanwhile; and each look is a connection to the database.
_SECONDS_BETWEEN_LOOKS = 0.5


async def serve_until(stop: asyncio.Event, settings: Settings, use: Callable[[RunningServer], Awaitable[None]]) -> None:
    """Serve until `stop` is set, and again where the database was lost meanwhile, as a server that starts then would.

    `use` is called with each server once it accepts calls; the server ends when that returns. Raises StartupError.
    """
    has_served = False
    while not stop.is_set():
        if settings.standby or has_served:
            await _stand_by(stop, settings, served_before=has_served)
            if stop.is_set():
                return
        try:
            async with serving(settings) as server:
                has_served = True
                await use(server)
        except NoDatabase as error:
            # Another one that stood by was quicker, or the database has gone away again.
            if not has_served and not (settings.standby and isinstance(error, DatabaseTaken)):
                raise
            await _moment(stop)


async def _stand_by(stop: asyncio.Event, settings: Settings, *, served_before: bool) -> None:
    """Return once the database can be served, or `stop` is set.

    Another server's end is waited for where the settings say so. A database that cannot be reached is waited for by a server
    that has served it before, or has seen another one do so. Raises StartupError for what is not waited for.
    """
    told, knows_it = "", served_before
    while not stop.is_set():
        try:
            await asyncio.to_thread(backend_of(settings.database).check_free)
        except DatabaseInUseError as error:
            if not settings.standby:
                raise unusable(error) from error
            said, knows_it = str(error), True
        except DatabaseUnusableError as error:
            if not knows_it:
                raise unusable(error) from error
            said = str(error)
        else:
            return
        if said != told:
            logger.warning("standing by: %s", said)
            told = said
        await _moment(stop)


async def _moment(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_BETWEEN_LOOKS):
            await stop.wait()
