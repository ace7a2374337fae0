"""A shortcut for chunks that differ from the one before in their text alone, as most do: only their text is decoded."""

from collections.abc import Iterator, Sequence

import orjson

_PROBE = "probe"


def texts_like(model: bytes, events: Sequence[bytes]) -> Iterator[str]:
    """Yield the texts of the first events, up to one that is not the model with another text.

    The model is an event that has been taken in: taking in another like it changes nothing but the text.
    """
    frame = _frame_of(model)
    if frame is None:
        return
    before, after = frame
    start, stop = len(before), -len(after)
    for event in events:
        if not (event.startswith(before) and event.endswith(after)):
            return
        try:
            text = orjson.loads(event[start:stop])
        except orjson.JSONDecodeError:
            return
        if text.__class__ is not str:
            return
        yield text


def _frame_of(event: bytes) -> tuple[bytes, bytes] | None:
    """Return what stands before and behind the text of a chunk that says nothing else."""
    text = _text_of(event)
    if text is None:
        return None
    before, found, after = event.partition(orjson.dumps(text))
    # What looks like the text may be something else: only if another word in its place is the text, it is the place.
    if found and _text_of(b"%b%b%b" % (before, orjson.dumps(_PROBE), after)) == _PROBE:
        return before, after
    return None


def _text_of(event: bytes) -> str | None:
    try:
        match orjson.loads(event):
            # A choice of another index is none that was asked for.
            case {"choices": [{"delta": {"content": str(text), **others}, **choice}]} if not (others or choice.get("index")):
                return text
    except orjson.JSONDecodeError:
        pass
    return None
