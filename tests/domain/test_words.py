import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.passages import folded_tag
from letta_grpc.domain.words import MAX_WORD_CHARACTERS, count_phrase, phrases_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World_wide 42!", ["hello", "world", "wide", "42"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("Crème brûlée", ["creme", "brulee"]),
        ("ﬁne ℡", ["fine", "tel"]),
        ("東京へ go", ["東", "京", "へ", "go"]),
        ("한국어", ["한국어"]),
        ("がか", ["が", "か"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("ok 🍵🍵", ["ok", "🍵", "🍵"]),
        ("x" * 250, ["x" * 100, "x" * 100, "x" * 50]),
        (" \n?!", []),
    ],
)
def test_a_text_is_its_folded_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_what_stands_between_spaces_is_one_phrase_and_each_counts_once() -> None:
    assert phrases_of('e-mail  tea e-Mail "?" 東京') == [["e", "mail"], ["tea"], ["東", "京"]]


def test_the_last_word_of_a_phrase_may_be_the_beginning_of_one() -> None:
    words = words_of("one two twofold one too")
    assert count_phrase(words, ["one", "two"]) == 1
    assert count_phrase(words, ["tw"]) == 2
    assert count_phrase(words, ["on", "two"]) == 0
    assert count_phrase(words, ["too", "one"]) == 0
    assert count_phrase([], ["too"]) == 0


@given(st.text())
def test_words_are_fold_points_without_spaces_or_signs(text: str) -> None:
    words = words_of(text)
    assert all(0 < len(word) <= MAX_WORD_CHARACTERS for word in words)
    assert not any(character in '"*^:(){}+- \t\n_' or character.isspace() for word in words for character in word)
    assert words_of(" ".join(words)) == words


@given(st.text(min_size=1))
def test_a_text_has_its_own_phrases(text: str) -> None:
    words = words_of(text)
    assert all(count_phrase(words, phrase) for phrase in phrases_of(text))


def test_tags_are_compared_without_case_and_width_of_spaces() -> None:
    assert folded_tag(" My\n TAG ") == folded_tag("my tag")
