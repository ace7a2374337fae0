"""How much one call may take."""

from dataclasses import asdict, dataclass
from json import dumps, loads

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the zygote is told of limits; it holds for every call.

    `memory_bytes` is what a tool may take beyond the warm interpreter: of address space, each of its processes; of
    memory, all of them together. `contained` is False where tools run without namespaces.
    """

    memory_bytes: int = 512 * MIB
    temp_bytes: int = 64 * MIB
    file_bytes: int = 64 * MIB
    open_files: int = 256
    processes: int = 32
    cpu_seconds: int = 60
    return_bytes: int = 1 * MIB
    contained: bool = True

    def to_json(self) -> str:
        """Return the limits as an argument for a command line."""
        return dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Limits":
        """Read what `to_json` wrote."""
        return cls(**loads(text))
