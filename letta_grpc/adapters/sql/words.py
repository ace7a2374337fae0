"""Word search in a casefolded column.

The database narrows, Python decides: databases limit the length of a pattern and the number of conditions, and a model may
search for anything.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Select

_MAX_CONDITIONS = 16
_MAX_PATTERN = 1000


def words_of(query: str) -> list[str]:
    """Return what a text must have, folded as the column is."""
    return query.casefold().split()


def has_words(folded: str, words: Iterable[str]) -> bool:
    """Say whether a folded text has every word somewhere."""
    return all(word in folded for word in words)


def narrow(query: Select[Any], column: Column[str], words: Sequence[str]) -> Select[Any]:
    """Keep the rows that can have the words."""
    patterns = [word for word in words if len(word) <= _MAX_PATTERN][:_MAX_CONDITIONS]
    return query.where(*(column.contains(word, autoescape=True) for word in patterns))
