"""`/openapi.json` and `/docs`."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from letta_grpc.gateway.descriptors import own_contract
from letta_grpc.gateway.openapi import openapi_of
from letta_grpc.gateway.routes import Routes
from tests.support.gateways import made_up_gateway
from tests.support.made_up import made_up


@pytest.fixture(scope="module")
def document() -> Any:  # noqa: ANN401 - JSON
    return openapi_of(made_up(), Routes(made_up().rpcs), "/api")


@pytest.fixture(scope="module")
def own() -> Any:  # noqa: ANN401 - JSON
    return openapi_of(own_contract(), Routes(own_contract().rpcs), "/api")


def test_an_rpc_is_an_operation_with_its_comment(document: Any) -> None:  # noqa: ANN401 - JSON
    operation = document["paths"]["/v1/search"]["get"]
    assert (operation["operationId"], operation["tags"]) == ("ShelfService_Search", ["ShelfService"])
    assert operation["description"] == "Says what it heard."
    assert document["tags"] == [{"name": "ShelfService", "description": "Shelves of books."}]
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/api"}]


def test_query_parameters_are_the_fields_that_can_be_one(document: Any) -> None:  # noqa: ANN401 - JSON
    named = {parameter["name"]: parameter["schema"] for parameter in document["paths"]["/v1/search"]["get"]["parameters"]}
    assert named["pageSize"] == {"type": "integer", "format": "int32"}
    assert named["nested.numbers"] == {"type": "array", "items": {"type": "integer", "format": "int32"}}
    assert named["since"]["format"] == "date-time"
    assert not {"counts", "many", "switches", "nested"} & set(named)


def test_a_body_leaves_out_what_the_path_says(own: Any) -> None:  # noqa: ANN401 - JSON
    operation = own["paths"]["/v1/agents/{agent_id}/runs:stream"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert "run" in schema["properties"]
    assert "agentId" not in schema["properties"]
    assert [(one["name"], one["in"]) for one in operation["parameters"]] == [("agent_id", "path")]


def test_a_stream_has_both_forms_and_the_frames_schema(own: Any) -> None:  # noqa: ANN401 - JSON
    responses = own["paths"]["/v1/runs/{run_id}/events:stream"]["get"]["responses"]
    assert set(responses) == {"200", "204", "default"}
    frame = responses["200"]["content"]["application/x-ndjson"]["schema"]
    assert set(responses["200"]["content"]) == {"application/x-ndjson", "text/event-stream"}
    validator = jsonschema.Draft202012Validator({**frame, "components": own["components"]})
    told = {
        "runId": "r",
        "agentId": "a",
        "sequenceNumber": 4,
        "createTime": "2030-01-01T00:00:00Z",
        "textDelta": {"text": "x"},
    }
    validator.validate(told)
    assert not validator.is_valid(told | {"sequenceNumber": "four"})
    event = responses["200"]["content"]["text/event-stream"]["schema"]["properties"]["data"]
    assert event["contentSchema"]["anyOf"] == [frame, {"$ref": "#/components/schemas/Error"}]


def test_a_websocket_is_shown_as_an_upgrade(document: Any) -> None:  # noqa: ANN401 - JSON
    assert "TalkRequest" in document["paths"]["/v1/shelves/{shelf}:talk"]["get"]["responses"]["101"]["description"]


def test_every_binding_is_in_it_once_and_operations_have_names_of_their_own(own: Any, document: Any) -> None:  # noqa: ANN401 - JSON
    for found, contract in ((own, own_contract()), (document, made_up())):
        operations = [operation for verbs in found["paths"].values() for operation in verbs.values()]
        assert len(operations) == len(Routes(contract.rpcs).bindings)
        assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_every_public_thing_of_our_contract_is_described(own: Any) -> None:  # noqa: ANN401 - JSON
    for name, schema in own["components"]["schemas"].items():
        if name == "Error":
            continue
        assert schema["description"], name
        for field, part in schema.get("properties", {}).items():
            assert part["description"], f"{name}.{field}"
    for verbs in own["paths"].values():
        assert all(operation["summary"] for operation in verbs.values())


def test_every_reference_leads_somewhere_and_every_schema_is_one(own: Any, document: Any) -> None:  # noqa: ANN401 - JSON
    for found in (own, document):
        schemas = found["components"]["schemas"]
        assert {name.rpartition("/")[2] for name in references(found)} <= set(schemas)
        for schema in schemas.values():
            jsonschema.Draft202012Validator.check_schema(schema)


def references(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


async def test_the_page_needs_nothing_from_elsewhere_and_no_script_in_it() -> None:
    async with made_up_gateway({}) as client:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert set(parts) == {"docs.css", "docs.js", "openapi.json"}
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=", page.text)
        for part in parts:
            assert (await client.get(f"/{part}")).status_code == 200
        script = (await client.get("/docs.js")).text
        assert "innerHTML" not in script
        assert "://" not in script
        document = (await client.get("/openapi.json")).json()
        assert "/v1/search" in document["paths"]


async def test_who_has_the_document_is_not_sent_it_again() -> None:
    async with made_up_gateway({}) as client:
        first = await client.get("/openapi.json")
        tag = first.headers["etag"]
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await client.get("/openapi.json", headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        for unknown in ('"other"', tag.strip('"'), ""):
            other = await client.get("/openapi.json", headers={"if-none-match": unknown})
            assert (other.status_code, other.content) == (200, first.content)
