"""Waiting for a database that another server has, or that is away, before serving from it."""

import asyncio
import logging

from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseInUseError, DatabaseUnusableError
from letta_grpc.app.failures import unusable
from letta_grpc.settings import Settings

logger = logging.getLogger(__name__)

# Nobody is served meanwhile; and each look is a connection to the database.
_SECONDS_BETWEEN_LOOKS = 0.5


async def stand_by(settings: Settings, stop: asyncio.Event, *, served_before: bool) -> None:
    """Return once the settings' database can be served, or `stop` is set.

    Another server's end is waited for where the settings say so. A database that cannot be reached is waited for by a server
    that has served it before. Raises StartupError for what is not waited for.
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
        try:
            async with asyncio.timeout(_SECONDS_BETWEEN_LOOKS):
                await stop.wait()
        except TimeoutError:
            pass
