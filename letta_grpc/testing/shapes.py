"""What Shapes promise."""
# ruff: noqa: S101, D102 - assert is what a contract does, and the names say what is promised

import asyncio
import json
from typing import Any

import pytest

from letta_grpc.ports.shapes import Shapes

PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False}
_SECONDS = 20


class ShapesContract:
    """What Shapes promise. A subclass gives them as the attribute `shapes`."""

    shapes: Shapes

    async def fault(self, schema: object, answer: str) -> str | None:
        text = json.dumps(schema)
        assert await self.shapes.fault_of_schema(text) is None
        async with asyncio.timeout(_SECONDS):
            return await self.shapes.fault_of_answer(text, answer)

    async def test_an_answer_of_the_shape_has_no_fault(self) -> None:
        assert await self.fault(PERSON, '{"name": "Ada"}') is None
        assert await self.fault({"$defs": {"p": PERSON}, "$ref": "#/$defs/p"}, '{"name": "Ada"}') is None
        assert await self.fault({"$schema": "http://json-schema.org/draft-07/schema#"}, "7") is None

    @pytest.mark.parametrize(
        "answer", ["", "name: Ada", "{}", '{"name": 7}', '{"name": "Ada", "age": 36}', "```json\n{}\n```", '{"name": NaN}']
    )
    async def test_an_answer_of_another_shape_has_one(self, answer: str) -> None:
        assert await self.fault(PERSON, answer)

    async def test_a_fault_says_where_it_is_and_is_short(self) -> None:
        fault = await self.fault({"items": {"type": "integer"}}, json.dumps([1, "x" * 100_000]))
        assert fault
        assert fault.startswith("at $[1]")
        assert len(fault) < 2000  # noqa: PLR2004 - any bound will do

    @pytest.mark.parametrize(
        "schema",
        [
            "no json",
            "[]",
            '{"type": "text"}',
            '{"$ref": "https://127.0.0.1/schema.json"}',
            '{"$ref": "file:///etc/passwd"}',
            '{"$ref": "#/$defs/nobody"}',
            '{"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}',
            '{"patternProperties": {"(a+)+$": {}}}',
        ],
    )
    async def test_a_schema_that_cannot_be_used_has_a_fault(self, schema: str) -> None:
        assert await self.shapes.fault_of_schema(schema)

    async def test_a_schema_of_very_many_parts_has_a_fault(self) -> None:
        fault = await self.shapes.fault_of_schema(json.dumps({"anyOf": [{}] * 21_000}))
        assert fault == "has 21002 values, sub-schemas included; at most 2000 are allowed"
        assert await self.shapes.fault_of_schema(json.dumps({"anyOf": [{}] * 1_998})) is None

    async def test_while_a_schema_is_checked_others_go_on(self) -> None:
        async with asyncio.timeout(_SECONDS), asyncio.TaskGroup() as group:
            checking = group.create_task(self.shapes.fault_of_schema(json.dumps({"anyOf": [{}] * 1_000})))
            turns = 0
            while not checking.done():
                await asyncio.sleep(0)
                turns += 1
        # On the loop itself it would be done in its first turn.
        assert turns > 1 + 1

    async def test_a_schema_that_is_nested_without_end_has_a_fault(self) -> None:
        assert await self.shapes.fault_of_schema('{"not":' * 20_000 + "{}" + "}" * 20_000)

    async def test_equal_items_are_found_among_many(self) -> None:
        many: list[Any] = [{"n": n} for n in range(20_000)]
        assert await self.fault({"uniqueItems": True}, json.dumps(many)) is None
        assert await self.fault({"uniqueItems": True}, json.dumps([*many, {"n": 0}]))

    async def test_a_schema_that_unfolds_without_end_takes_a_bounded_time(self) -> None:
        doubled = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
        assert await self.fault({"$defs": doubled | {"d60": {}}, "$ref": "#/$defs/d0"}, "1")

    async def test_a_schema_that_refers_to_itself_takes_a_bounded_time(self) -> None:
        assert await self.fault({"$ref": "#"}, "1")

    async def test_a_regular_expression_takes_no_time(self) -> None:
        assert await self.fault({"pattern": "(a+)+$"}, json.dumps("a" * 50 + "b")) is None
