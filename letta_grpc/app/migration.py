"""The schema, brought up to date."""

from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseUnusableError, without_password
from letta_grpc.app.failures import unusable
from letta_grpc.settings import Settings


def migrate(settings: Settings) -> str:
    """Bring the database's schema up to date, without serving it; return what may be told of it. Raises StartupError."""
    try:
        backend_of(settings.database).migrate()
    except DatabaseUnusableError as error:
        raise unusable(error) from error
    return without_password(settings.database)
