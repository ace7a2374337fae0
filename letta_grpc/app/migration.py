"""The schema, brought up to date."""

from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.app.failures import unusable
from letta_grpc.settings import Settings


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, without serving it. Raises StartupError."""
    try:
        backend_of(settings.database).migrate()
    except DatabaseUnusableError as error:
        raise unusable(error) from error
