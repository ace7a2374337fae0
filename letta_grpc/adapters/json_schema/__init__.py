"""JSON Schema, draft 2020-12, by the jsonschema package, which is loaded on first use.

checks.py   schemas and answers, at a price that is bounded
"""

import asyncio


class JsonSchema:
    """Checks schemas, and answers against them, in a thread: others go on meanwhile."""

    async def fault_of_schema(self, schema: str) -> str | None:
        """Return what is wrong with a schema."""
        return await asyncio.to_thread(_fault_of_schema, schema)

    async def fault_of_answer(self, schema: str, answer: str) -> str | None:
        """Return why an answer does not have the shape."""
        return await asyncio.to_thread(_fault_of_answer, schema, answer)


# Loaded in the thread, too: that alone takes half a second.
def _fault_of_schema(schema: str) -> str | None:
    from letta_grpc.adapters.json_schema.checks import fault_of_schema  # noqa: PLC0415 - see above

    return fault_of_schema(schema)


def _fault_of_answer(schema: str, answer: str) -> str | None:
    from letta_grpc.adapters.json_schema.checks import fault_of_answer  # noqa: PLC0415 - see above

    return fault_of_answer(schema, answer)
