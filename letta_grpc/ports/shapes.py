"""The shape that an answer shall have. The contract: `letta_grpc.testing.shapes`."""

from typing import Protocol


class Shapes(Protocol):
    """Knows JSON Schema. Whatever it is given, it takes a bounded time and fetches nothing."""

    async def fault_of_schema(self, schema: str) -> str | None:
        """Return what is wrong with the JSON text of a schema, None if answers can be checked against it."""
        ...

    async def fault_of_answer(self, schema: str, answer: str) -> str | None:
        """Return why an answer is not JSON that fits a faultless schema, in words for the model; None if it is."""
        ...
