import math

from letta_grpc.adapters.json_schema import JsonSchema
from letta_grpc.testing.shapes import ShapesContract


class TestJsonSchema(ShapesContract):
    shapes = JsonSchema()


async def test_numbers_that_json_does_not_have_are_no_answer() -> None:
    assert await JsonSchema().fault_of_answer("{}", str(math.inf))
    assert await JsonSchema().fault_of_answer("{}", "Infinity")
