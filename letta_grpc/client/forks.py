"""Calls that are open when the process is forked: grpc's core, caught at work, may end the child at any call it makes."""

import os

# A set, because adding to it and taking from it are one step each, whichever thread does it.
_open: "set[OpenCall]" = set()
_forked_amid_calls = False


class OpenCall:
    """Stands for a call from before grpc hears of it until it is closed."""

    def __init__(self) -> None:
        _open.add(self)

    def close(self) -> None:
        """The call is over; once more does no harm."""
        _open.discard(self)


def is_sound_process() -> bool:
    """Say whether grpc may be called: not in a child that was forked while a call was open."""
    return not _forked_amid_calls


def require_sound_process() -> None:
    """Raise RuntimeError in a child that was forked while a call was open."""
    if not is_sound_process():
        raise RuntimeError(
            "this process was forked while a call was open, and grpc may crash in it: fork while none is, or start the "
            "process with the spawn method"
        )


def _look_back() -> None:
    global _forked_amid_calls  # noqa: PLW0603 - it is the process that is so
    _forked_amid_calls = _forked_amid_calls or bool(_open)


# Only where there is fork: not on Windows.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_look_back)
