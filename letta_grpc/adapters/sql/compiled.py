"""Statements as text for a driver: compiled once, then executed without SQLAlchemy."""

from sqlalchemy import Dialect
from sqlalchemy.sql.dml import UpdateBase

from letta_grpc.adapters.sql.rows import Values
from letta_grpc.adapters.sql.session import Query


class CompiledStatements:
    """The statements of one dialect, each as text and the constants that it binds itself."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: dict[Query | UpdateBase, tuple[str, Values]] = {}

    def bound(self, statement: Query | UpdateBase, values: Values) -> tuple[str, Values]:
        """Return a statement's text and all that it binds."""
        known = self._known.get(statement)
        if known is None:
            compiled = statement.compile(dialect=self._dialect)
            constants = {name: value for name, value in (compiled.params or {}).items() if value is not None}
            known = self._known[statement] = (compiled.string, constants)
        text, constants = known
        return text, (values | constants if constants else values)
