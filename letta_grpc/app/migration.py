"""The schema, brought up to date."""

from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.migrate import migrate as migrate_database
from letta_grpc.app.failures import unusable
from letta_grpc.settings import Settings


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, without serving it. Raises StartupError."""
    try:
        migrate_database(settings.database)
    except DatabaseUnusableError as error:
        raise unusable(error) from error
