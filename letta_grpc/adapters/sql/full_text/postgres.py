"""Words in PostgreSQL: what every server has, and no extension.

`terms` is a coarse filter with an index, the words of a row without their order, and whose it is; `words` has them in their
order, and tells phrases and how well a row fits.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Select,
    TextualSelect,
    bindparam,
    column,
    func,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, TSVECTOR, insert

from letta_grpc.adapters.sql.full_text.entries import Entry

# In bytes of UTF-8: a tsvector takes 1 MB, and to index very many words takes long. Of a text that has more the filter says
# nothing but whose it is, and each search of theirs looks at it.
_MOST_TERMS = 100_000
_ANYTHING = "~"
# So many words are filtered by, those that tell the most; the others are looked for in what the filter leaves.
_MOST_FILTERS = 8

# BM25, where the rows that were found are all that there is: so nothing has to be counted but them.
# OFFSET 0: planned together with the rest of it, PostgreSQL might look for the rows once for each phrase.
_FITTING = """
WITH counted AS (
    SELECT position, CAST(octet_length(words) AS float8) AS size, phrase, times FROM {name}, LATERAL (
        SELECT phrase,
            CAST((octet_length(words) - octet_length(replace(words, phrase, ''))) / octet_length(phrase) AS float8) AS times
        FROM unnest(CAST(:the_phrases AS text[])) AS phrase OFFSET 0
    ) AS counts WHERE terms @@ CAST(:the_filter AS tsquery)
), weighed AS (
    SELECT phrase, ln(1 + sum(size) / sum(times)) AS weight, 0.75 * 1.2 / avg(size) AS longer
    FROM counted WHERE times > 0 GROUP BY phrase
)
SELECT position, CAST(sum(weight * times / (times + 0.25 * 1.2 + size * longer)) AS real) AS fit
FROM counted JOIN weighed USING (phrase) GROUP BY position HAVING min(times) > 0
"""


class PostgresWords:
    """A table. Its rows are removed with those that they are of: the schema says so."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._table = table(name, column("position", BigInteger), column("words", TEXT), column("terms", TSVECTOR))

    def last(self, connection: Connection) -> int:
        """Return the highest position of which words are kept."""
        return connection.scalar(select(func.max(self._table.c.position))) or 0

    def put(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Keep the words of rows."""
        terms = func.array_to_tsvector(bindparam("terms", type_=ARRAY(TEXT)))
        add = insert(self._table).values(position=bindparam("position"), words=bindparam("words"), terms=terms)
        changed = {"words": add.excluded.words, "terms": add.excluded.terms}
        rows = [{"position": entry.position, "words": _row_of(entry.words), "terms": _terms(entry)} for entry in entries]
        connection.execute(add.on_conflict_do_update(index_elements=["position"], set_=changed), rows)

    def narrowed(
        self, query: Select[Any], position: ColumnElement[int], phrases: Sequence[Sequence[str]], owner: str | None
    ) -> Select[Any]:
        """Narrow a query to rows that have all phrases, the owner's if one is given, the best first."""
        best = self.fitting(phrases, owner).subquery("fitting")
        return query.join(best, best.c.position == position).order_by(best.c.fit.desc())

    def fitting(self, phrases: Sequence[Sequence[str]], owner: str | None) -> TextualSelect:
        """Return the query of the positions of rows that have all phrases, and of how well they fit."""
        wanted = {"the_filter": _filter(phrases, owner), "the_phrases": [_row_of(phrase) for phrase in phrases]}
        query = text(_FITTING.format(name=self._name)).bindparams(**wanted)
        return query.columns(column("position", BigInteger), column("fit", Float))


def _row_of(words: Sequence[str]) -> str:
    """Return words in a row, each behind a space: so that one is met at its beginning only."""
    return "".join(f" {word}" for word in words)


def _terms(entry: Entry) -> list[str]:
    words = set(entry.words)
    told = words if sum(len(word.encode()) for word in words) <= _MOST_TERMS else [_ANYTHING]
    return [*told, *map(_term_of, entry.owners)]


def _term_of(owner: str) -> str:
    """Return an id as something that is no word."""
    return f"@{owner}"


def _filter(phrases: Sequence[Sequence[str]], owner: str | None) -> str:
    # A whole word leaves less than the beginning of one, a long one less than a short one.
    best = sorted(dict.fromkeys(_sought(phrases)), key=lambda sought: (not sought[1], len(sought[0])), reverse=True)
    words = " & ".join(_quoted(word) + (":*" if is_beginning else "") for word, is_beginning in best[:_MOST_FILTERS])
    theirs = f"{_quoted(_term_of(owner))} & " if owner else ""
    return f"{theirs}({_quoted(_ANYTHING)} | {words})"


def _sought(phrases: Sequence[Sequence[str]]) -> Iterator[tuple[str, bool]]:
    """Yield the words that must be there, each with whether it may be the beginning of a longer one."""
    for *whole, last in phrases:
        yield from ((word, False) for word in whole)
        yield last, True


def _quoted(term: str) -> str:
    escaped = term.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
