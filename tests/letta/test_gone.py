"""What is not here says what to use instead, and takes the place of nothing that is here."""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import grpc
import letta_client
import pytest
from letta_client import APIStatusError, Letta
from starlette.routing import BaseRoute, Match, Route

from letta_grpc.gateway.descriptors import own_contract
from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces import FACES
from letta_grpc.gateway.faces.letta import OPERATIONS
from letta_grpc.gateway.faces.letta.gone import GONE, gone_routes, letta_gone
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.routes import Routes
from letta_grpc.settings import Settings, variable_of
from tests.support.letta import Site

PATHS = [path for each in GONE for path in each.paths]
VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "x-1", path)


def routes_of_faces() -> Sequence[BaseRoute]:
    channel = grpc.aio.insecure_channel("127.0.0.1:1")
    return [route for face in FACES for route in face(FaceContext(channel, GatewayOptions()))]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_gone_is_told_with_what_to_use_instead(site: Site, path: str) -> None:
    for verb, below in product(VERBS, ("", "/", "/more/of/it")):
        answer = site.http.request(verb, filled(path) + below)
        assert (answer.status_code, answer.headers["x-should-retry"]) == (501, "false")
        assert answer.json() == {"detail": next(each.instead for each in GONE if path in each.paths)}


async def test_what_is_gone_takes_the_place_of_no_route() -> None:
    own = {route.path for behind in (False, True) for route in gone_routes(behind=behind) if isinstance(route, Route)}
    here = [route for route in routes_of_faces() if isinstance(route, Route) and route.path not in own]
    assert len(here) > 80
    for route in here:
        if "{rest:path}" in route.path:
            continue
        scope = {"type": "http", "path": filled(route.path), "method": "GET", "root_path": ""}
        assert [
            gone.path for gone in gone_routes() if isinstance(gone, Route) and gone.matches(scope)[0] is not Match.NONE
        ] == []


def test_every_route_of_the_sdk_is_here_or_told_where_else() -> None:
    here = {(operation.verb, unnamed(operation.path)) for operation in OPERATIONS}
    asked = set()
    for source in (Path(letta_client.__file__).parent / "resources").rglob("*.py"):
        found = re.findall(r'self\._(\w+)\(\s*(?:path_template\(\s*)?f?"(/v1[^"]+)"', source.read_text())
        asked |= {("GET" if verb == "get_api_list" else verb.upper(), unnamed(path)) for verb, path in found}
    assert len(asked) > 100
    told = [unnamed(path) for path in PATHS]
    assert [each for each in asked - here if not any(f"{each[1]}/".startswith(f"{path}/") for path in told)] == []


def unnamed(path: str) -> str:
    return re.sub(r"\{\w+(:path)?\}", "{}", path.rstrip("/"))


async def test_what_is_named_instead_is_there() -> None:
    templates = {f"/api{binding.template.text}" for binding in Routes(own_contract().rpcs).bindings}
    here = {route.path.rstrip("/") for route in routes_of_faces() if isinstance(route, Route)} | templates
    settings = {variable_of(name) for name in Settings.model_fields}
    for each in GONE:
        for path in re.findall(r"/(?:api/)?v1/[\w/{}:-]*[\w}]", each.instead):
            assert path in here, path
        for variable in re.findall(r"LETTA_GRPC_[A-Z_]+", each.instead):
            assert variable.partition("__")[0] in settings, variable


async def test_the_answer_to_what_is_left_comes_behind_all_faces() -> None:
    last = letta_gone(FaceContext(grpc.aio.insecure_channel("127.0.0.1:1"), GatewayOptions()))
    told = [route.path for route in (*routes_of_faces(), *last) if isinstance(route, Route)]
    assert told[-2 * len(last) : -len(last)] == told[-len(last) :]
    assert told[-1] == "/v1/{rest:path}"


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/agents/x/y/z", "/v1/health/x"])
def test_what_never_was_is_told_with_where_to_look(site: Site, path: str) -> None:
    answer = site.http.post(path, json={})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (501, "false")
    assert "/api" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("PUT", "/v1/agents/", "GET, POST"),
        ("PUT", "/v1/agents", "GET, POST"),
        ("DELETE", "/v1/health/", "GET"),
        ("DELETE", "/v1/agents/x/messages", "GET, POST"),
    ],
)
def test_a_route_of_another_verb_is_named(site: Site, verb: str, path: str, allowed: str) -> None:
    answer = site.http.request(verb, path)
    assert (answer.status_code, answer.headers["allow"], answer.headers["x-should-retry"]) == (405, allowed, "false")
    assert allowed in answer.json()["detail"]


def test_the_sdk_tells_its_user_at_once(site: Site) -> None:
    with Letta(base_url=site.url) as client, pytest.raises(APIStatusError) as error:
        client.folders.list()
    assert error.value.status_code == 501
    assert "archival-memory" in str(error.value)
