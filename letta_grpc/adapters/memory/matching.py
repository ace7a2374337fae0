"""Word search."""


def has_words(text: str, query: str) -> bool:
    """Say whether the text has every word of the query somewhere, case ignored. A query without words is had by all."""
    folded = text.casefold()
    return all(word in folded for word in query.casefold().split())
