"""Words, as searches compare them.

Letter case, diacritics and compatibility forms make no difference. A sign of a script that is written without spaces, and a
symbol such as an emoji, is a word of its own: a search for several of them in a row finds just that row.
"""

import re
import unicodedata
from collections.abc import Sequence

# In characters. Longer words are cut into pieces: what is not language, as encoded data, would bloat an index.
MAX_WORD_CHARACTERS = 100

# The accents and other marks of Latin, Greek and Cyrillic letters. Those of other scripts make other letters.
_DIACRITICS = re.compile("[\u0300-\u036f]+")
# Thai to Myanmar, Khmer, kana, Han; then arrows to dingbats, emoji.
_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u2190-\u2bff\U0001f000-\U0001faff"
)
# Letters and digits; the vowel signs of India's scripts belong to their words. An underscore divides.
_WORD = re.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}]|[\u0900-\u0dff]){{1,{MAX_WORD_CHARACTERS}}}")


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order, folded."""
    return _WORD.findall(_folded(text))


def phrases_of(query: str) -> list[list[str]]:
    """Return what a text must have, all of it: rows of words, of each of which the last may be the beginning of a longer one.

    Nothing in a query has a meaning of its own. What stands between spaces is one phrase: `e-mail` finds `E-Mails`.
    """
    phrases = [words_of(piece) for piece in query.split()]
    return [list(phrase) for phrase in dict.fromkeys(tuple(words) for words in phrases if words)]


def count_phrase(words: Sequence[str], phrase: Sequence[str]) -> int:
    """Return how often a phrase stands in a text of these words."""
    *whole, last = phrase
    places = range(len(words) - len(whole))
    return sum(words[at : at + len(whole)] == whole and words[at + len(whole)].startswith(last) for at in places)


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    bare = _DIACRITICS.sub("", unicodedata.normalize("NFKD", text).casefold())
    # Together again what only had to be taken apart to find the marks: Korean syllables, kana with voice marks.
    return unicodedata.normalize("NFKC", bare)
