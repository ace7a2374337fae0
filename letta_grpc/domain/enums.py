"""What the domain's enums have in common."""

from enum import Enum


class IdentityEnum(Enum):
    """An enum whose members are looked up in tables all the time.

    Members are compared by identity, so they may be hashed by it too; an Enum's own hash is a Python function.
    """

    __hash__ = object.__hash__
