"""What `google.api.http` says is what HTTP does, for a service that no line of Python knows."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
import pytest
import pytest_asyncio

from letta_grpc.gateway.templates import template_of
from tests.support.gateways import error_of, fields_in, made_up_gateway, reason_of
from tests.support.made_up import new

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def search(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
    return new("SearchResponse", heard=request)


async def get_book(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
    return new("GetBookResponse", heard=request)


async def put_book(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
    return new("PutBookResponse", book=request.book, heard=request)


async def check(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
    return new("CheckResponse", shelf=request.shelf)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with made_up_gateway({"Search": search, "GetBook": get_book, "PutBook": put_book, "Check": check}) as client:
        yield client


async def heard(client: httpx2.AsyncClient, query: str) -> Any:  # noqa: ANN401 - JSON
    answer = await client.get(f"/api/v1/search?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json().get("heard", {})


@pytest.mark.parametrize(
    ("query", "json"),
    [
        ("text=two%20words+and+plus", {"text": "two words and plus"}),
        ("tags=a&tags=b", {"tags": ["a", "b"]}),
        ("genres=GENRE_FACT&genres=1", {"genres": ["GENRE_FACT", "GENRE_FICTION"]}),
        ("pageSize=7", {"pageSize": 7}),
        ("page_size=7", {"pageSize": 7}),
        ("big=9007199254740993", {"big": "9007199254740993"}),
        ("unsigned=18446744073709551615", {"unsigned": "18446744073709551615"}),
        ("onlyNew=true", {"onlyNew": True}),
        ("maybe=false", {"maybe": False}),
        ("weight=0.5&light=0.1", {"weight": 0.5, "light": 0.1}),
        ("weight=Infinity", {"weight": "Infinity"}),
        ("raw=AQI%3D", {"raw": "AQI="}),
        ("nested.word=w&nested.numbers=1&nested.numbers=2", {"nested": {"word": "w", "numbers": [1, 2]}}),
        ("nested.deeper.deeper.word=w", {"nested": {"deeper": {"deeper": {"word": "w"}}}}),
        ("since=2030-01-01T12:00:00.5Z", {"since": "2030-01-01T12:00:00.500Z"}),
        ("within=1.5s", {"within": "1.500s"}),
        ("mask=pageSize,only_new", {"mask": "pageSize,onlyNew"}),
        ("wrapped=false", {"wrapped": False}),
        ("thisOne=", {"thisOne": ""}),
        ("", {}),
    ],
)
async def test_a_query_parameter_is_a_field(client: httpx2.AsyncClient, query: str, json: object) -> None:
    assert await heard(client, query) == json


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("bogus=1", "bogus"),
        ("nested.bogus=1", "nested.bogus"),
        ("text.deeper=1", "text.deeper"),
        ("many.word=1", "many.word"),
        ("nested=1", "nested"),
        ("counts=1", "counts"),
        ("facts=1", "facts"),
        ("onlyNew=yes", "onlyNew"),
        ("text=a&text=b", "text"),
        ("text=a&pageSize=seven", "page_size"),
        ("pageSize=3000000000", "page_size"),
        ("genres=GENRE_NONE", "genres[0]"),
        ("since=yesterday", "since"),
        ("within=5", "within"),
        ("raw=A", "raw"),
        ("thisOne=a&thatOne=1", "that_one"),
    ],
)
async def test_a_query_parameter_that_is_no_field_or_no_value_of_it_is_named(
    client: httpx2.AsyncClient, query: str, field: str
) -> None:
    answer = await client.get(f"/api/v1/search?{query}")
    error = error_of(answer)
    assert (answer.status_code, error["status"], reason_of(error)) == (400, "INVALID_ARGUMENT", "INVALID_REQUEST")
    assert list(fields_in(error)) == [field]


async def test_a_body_is_read_in_both_spellings_and_answered_in_camel_case(client: httpx2.AsyncClient) -> None:
    body = {
        "page_size": 3,
        "onlyNew": True,
        "counts": {"a": "9007199254740993"},
        "switches": {"true": {"word": "w"}},
        "many": [{"word": "x"}, {}],
        "facts": {"any": ["thing", 1, None]},
        "anything": None,
        "that_one": 0,
        "mask": "page_size,text",
    }
    answer = await client.post("/api/v1/search", json=body)
    assert answer.json()["heard"] == {
        "pageSize": 3,
        "onlyNew": True,
        "counts": {"a": "9007199254740993"},
        "switches": {"true": {"word": "w"}},
        "many": [{"word": "x"}, {}],
        "facts": {"any": ["thing", 1, None]},
        "anything": None,
        "thatOne": 0,
        "mask": "pageSize,text",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"bogus": 1}, "bogus"),
        ({"nested": {"deeper": {"bogus": 1}}}, "nested.deeper.bogus"),
        ({"many": [{"word": "a"}, {"bogus": 1}]}, "many[1].bogus"),
        ({"switches": {"true": {"bogus": 1}}}, "switches[true].bogus"),
        ({"pageSize": 1, "page_size": 2}, "page_size"),
        ({"nested": "text"}, "nested"),
        ({"many": {"word": "a"}}, "many"),
        ({"text": 5}, "text"),
        ({"pageSize": "x"}, "page_size"),
        ({"nested": {"numbers": ["x"]}}, "nested.numbers"),
        ([], "(body)"),
        ("text", "(body)"),
    ],
)
async def test_a_field_of_a_body_that_is_unknown_or_wrong_is_named(
    client: httpx2.AsyncClient, body: object, field: str
) -> None:
    answer = await client.post("/api/v1/search", json=body)
    error = error_of(answer)
    assert (answer.status_code, reason_of(error)) == (400, "INVALID_REQUEST")
    assert list(fields_in(error)) == [field]


async def test_a_variable_may_span_segments_and_keeps_an_encoded_slash(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/shelves/top%20one/books/a/b%2Fc")
    assert answer.json()["heard"] == {"name": "shelves/top one/books/a/b%2Fc"}


async def test_a_variable_may_be_a_field_of_a_field_and_an_rpc_may_have_more_than_one_path(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/numbers/12")
    assert answer.json()["heard"] == {"key": {"number": "12"}}
    wrong = error_of(await client.get("/api/v1/numbers/twelve"))
    assert list(fields_in(wrong)) == ["key.number"]


async def test_a_body_may_be_one_field_and_so_may_the_answer_while_the_rest_is_in_the_query(
    client: httpx2.AsyncClient,
) -> None:
    book = {"bookTitle": "t", "parts": [{"genre": "GENRE_FACT"}], "pages": "AQI="}
    answer = await client.put("/api/v1/books/b%2F1?updateMask=bookTitle", json=book)
    assert answer.json() == book
    refused = error_of(await client.put("/api/v1/books/b?book.bookTitle=x", json=book))
    assert list(fields_in(refused)) == ["book.bookTitle"]
    refused = error_of(await client.put("/api/v1/books/b?id=other", json=book))
    assert list(fields_in(refused)) == ["id"]


async def test_a_verb_may_be_any(client: httpx2.AsyncClient) -> None:
    assert (await client.request("REPORT", "/api/v1/shelves/s")).json() == {"shelf": "s"}


async def test_a_path_that_is_none_is_404_and_one_with_other_verbs_405(client: httpx2.AsyncClient) -> None:
    for path in ("/api/v1/nothing", "/search", "/api/v1/search/", "/api", "/api/made.up.v1.ShelfService/Hidden"):
        assert error_of(await client.get(path))["status"] == "NOT_FOUND", path
    answer = await client.delete("/api/v1/search")
    assert (error_of(answer)["status"], answer.status_code) == ("UNIMPLEMENTED", 405)
    assert answer.headers["allow"] == "GET, POST"


async def test_a_custom_verb_belongs_to_no_variable(client: httpx2.AsyncClient) -> None:
    answer = await client.request("REPORT", "/api/v1/shelves/top:talk")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_a_get_takes_no_body_and_a_post_no_query(client: httpx2.AsyncClient) -> None:
    assert "no body" in error_of(await client.request("GET", "/api/v1/search", json={"text": "x"}))["message"]
    assert list(fields_in(error_of(await client.post("/api/v1/search?text=x", json={})))) == ["text"]


async def test_a_path_that_is_no_text_is_refused(client: httpx2.AsyncClient) -> None:
    assert error_of(await client.get("/api/v1/numbers/%ff"))["status"] == "INVALID_ARGUMENT"
    assert error_of(await client.get("/api/v1/search?text=%ff"))["status"] == "INVALID_ARGUMENT"


async def test_head_is_get_without_the_body(client: httpx2.AsyncClient) -> None:
    answer = await client.head("/api/v1/search?text=x")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len('{"heard":{"text":"x"}}')


@pytest.mark.parametrize(
    ("template", "path", "variables"),
    [
        ("/v1/a", "/v1/a", {}),
        ("/v1/a", "/v1/A", None),
        ("/v1/{id}", "/v1/a%20b", {"id": "a b"}),
        ("/v1/{id}", "/v1/a/b", None),
        ("/v1/{id}", "/v1/", None),
        ("/v1/{id}:go", "/v1/a:go", {"id": "a"}),
        ("/v1/{id}:go", "/v1/a:b:go", {"id": "a:b"}),
        ("/v1/{id}:go", "/v1/a", None),
        ("/v1/things:go", "/v1/things:go", {}),
        ("/v1/{name=a/*/b}/c", "/v1/a/x/b/c", {"name": "a/x/b"}),
        ("/v1/{rest=**}", "/v1/a/b%2Fc", {"rest": "a/b%2Fc"}),
        ("/v1/*/x", "/v1/a/x", {}),
        ("/v1/{a.b.c}", "/v1/1", {"a.b.c": "1"}),
    ],
)
async def test_a_template_matches_what_it_says(template: str, path: str, variables: dict[str, str] | None) -> None:
    assert template_of(template).match(path) == variables


async def test_a_call_that_fails_behind_the_gateway_is_told_with_its_code_and_nothing_of_grpc() -> None:
    async def fail(_request: Any, context: Any) -> Any:  # noqa: ANN401 - messages without stubs
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")

    async with made_up_gateway({"Search": fail}) as client:
        answer = await client.get("/api/v1/search")
        assert (answer.status_code, error_of(answer)["message"]) == (400, "not now")
        # Bound, but not served.
        missing = await client.put("/api/v1/books/b", json={})
        assert (missing.status_code, error_of(missing)["status"]) == (501, "UNIMPLEMENTED")
