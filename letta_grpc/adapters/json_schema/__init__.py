"""JSON Schema, draft 2020-12, by the jsonschema package, which is loaded on first use.

checks.py   schemas and answers, at a price that is bounded
"""

import asyncio


class JsonSchema:
    """Checks schemas, and answers against them."""

    def fault_of_schema(self, schema: str) -> str | None:
        """Return what is wrong with a schema."""
        from letta_grpc.adapters.json_schema.checks import fault_of_schema  # noqa: PLC0415 - see above

        return fault_of_schema(schema)

    async def fault_of_answer(self, schema: str, answer: str) -> str | None:
        """Return why an answer does not have the shape."""
        from letta_grpc.adapters.json_schema.checks import fault_of_answer  # noqa: PLC0415 - see above

        return await asyncio.to_thread(fault_of_answer, schema, answer)
