"""The tables of the words of messages and notes, folded by us. `full_text` fills and searches them.

They are filled when somebody searches: a run that writes a message does not pay for it. Each database has its own, so Alembic
knows nothing of them.
"""

from collections.abc import Iterator

from sqlalchemy import DDL, MetaData, event

# By the table that they are from.
_NAMES = {"messages": "message_words", "passages": "passage_words"}


def add_word_tables(metadata: MetaData) -> None:
    """Let them be made behind all others."""
    for source, name in _NAMES.items():
        for dialect, statements in (("sqlite", _of_sqlite(name, source)), ("postgresql", _of_postgres(name, source))):
            for statement in statements:
                made: DDL = DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy's own lack
                event.listen(metadata, "after_create", made.execute_if(dialect=dialect))


def _of_sqlite(name: str, source: str) -> Iterator[str]:
    # `owners` are the ids that narrow a search, `rowid` is the position in the other table.
    yield f"CREATE VIRTUAL TABLE {name} USING fts5(owners, words, tokenize='ascii')"
    forget = f"DELETE FROM {name} WHERE rowid = old.position"  # noqa: S608 - a name of ours
    yield f"CREATE TRIGGER {name}_forget AFTER DELETE ON {source} BEGIN {forget}; END"


def _of_postgres(name: str, source: str) -> Iterator[str]:
    position = f"position BIGINT PRIMARY KEY REFERENCES {source} (position) ON DELETE CASCADE"
    yield f"CREATE TABLE {name} ({position}, words TEXT NOT NULL, terms TSVECTOR NOT NULL)"
    # Each search reads what is not sorted in yet: when there is so much of it, in kB, it is.
    yield f"CREATE INDEX ix_{name}_terms ON {name} USING gin (terms) WITH (gin_pending_list_limit = 256)"
