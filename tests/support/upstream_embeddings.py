"""What the process behind `upstream.py` makes of texts: a vector that counts the words of a few subjects.

meanings             the vectors, out of order, as servers may send them
one-short            a vector too few
status-CODE          refuses always
short-sighted        refuses texts of more than 100 characters
garbage              an answer without vectors
complaint            a complaint, as an answer, that repeats the key "secret"
nulls                a list of nothing
without-index        the vectors in order, without their numbers
"""

from tests.support.upstream_wire import Json

_SUBJECTS = (
    ("cat", "kitten", "tom"),
    ("dog", "puppy", "rex"),
    ("money", "stocks", "bank"),
    ("tea", "coffee", "beverage"),
)
_LONGEST = 100
_NO_VECTORS: dict[str, Json] = {
    "garbage": {"object": "list"},
    "complaint": {"error": {"message": "bad token secret"}},
    "nulls": {"data": [None]},
}


def embeddings(asked: Json) -> tuple[Json, int]:
    """The answer and its status."""
    model, texts = str(asked["model"]), asked["input"]
    if model.startswith("status-"):
        return {"error": {"message": "no"}}, int(model.removeprefix("status-"))
    if model == "short-sighted" and any(len(text) > _LONGEST for text in texts):
        return {"error": {"message": "too long"}}, 400
    if model in _NO_VECTORS:
        return _NO_VECTORS[model], 200
    if model == "without-index":
        return {"data": [{"embedding": _vector(text)} for text in texts]}, 200
    wanted = texts[1:] if model == "one-short" else texts
    items = [{"object": "embedding", "index": index, "embedding": _vector(text)} for index, text in enumerate(wanted)]
    return {"object": "list", "data": items[::-1], "model": model}, 200


def _vector(text: str) -> list[float]:
    words = text.lower().split()
    return [sum(word in words for word in subject) + 0.01 for subject in _SUBJECTS]
