"""Bringing a database's schema up to date. Alembic is imported only when there is something to do."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from letta_grpc.adapters.sql.connection import DatabaseConnection
from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.schema import REVISION, metadata


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database's schema, None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def ensure_current(connection: DatabaseConnection, name: object) -> None:
    """Make the tables, or upgrade them. An interrupted upgrade leaves the database as it was."""
    revision = revision_of(connection.core)
    if revision == REVISION:
        return
    connection.begin()
    try:
        if revision is None:
            create(connection.core, name)
        else:
            upgrade(connection.core, revision, name)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def create(connection: Connection, name: object) -> None:
    """Make the newest schema at once. A test shows that the revisions lead to the same one."""
    _check_empty(connection, name)
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})


def upgrade(connection: Connection, revision: str | None, name: object) -> None:
    """Go from a revision, None for nothing at all, to the newest one."""
    from alembic import command  # noqa: PLC0415 - costs more than the rest of a start
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    _check_known(revision, name)
    command.upgrade(config, "head")


def check_usable(connection: Connection, name: object) -> str | None:
    """Return a database's revision, None for an empty one. Raises DatabaseUnusableError where `ensure_current` would."""
    revision = revision_of(connection)
    if revision is None:
        _check_empty(connection, name)
    elif revision != REVISION:
        _check_known(revision, name)
    return revision


def _check_empty(connection: Connection, name: object) -> None:
    if inspect(connection).get_table_names():
        raise DatabaseUnusableError(f"The database {name} belongs to another program: it has tables that are not ours.")


def _check_known(revision: str | None, name: object) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - costs more than the rest of a start

    known = {script.revision for script in ScriptDirectory(str(Path(__file__).parent)).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseUnusableError(
            f"The database {name} was written by a newer letta-grpc: its schema {revision} is unknown."
        )
