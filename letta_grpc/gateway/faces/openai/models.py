"""Agents as the models of OpenAI's API, oldest first."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.endpoints import telling
from letta_grpc.gateway.faces.openai.answers import refusal
from letta_grpc.gateway.faces.openai.requests import NO_AGENT
from letta_grpc.gateway.failures import refused
from letta_grpc.gateway.metadata import Metadata, metadata_of
from letta_grpc.gateway.upstream import settled
from letta_grpc.v1 import agent_service_pb2, agent_service_pb2_grpc, agents_pb2

_PAGE = 1000


def model_routes(context: FaceContext) -> Sequence[BaseRoute]:
    """Return the routes of models."""

    async def models(request: Request) -> Response:
        agents = [_model_of(agent) async for agent in _agents(context, metadata_of(request.scope))]
        return JSONResponse({"object": "list", "data": agents})

    async def model(request: Request) -> Response:
        stub = agent_service_pb2_grpc.AgentServiceStub(context.channel)
        wanted = agent_service_pb2.GetAgentRequest(agent_id=f"agent-{request.path_params['rest']}")
        found = await settled(stub.GetAgent(wanted, metadata=metadata_of(request.scope)))
        return JSONResponse(_model_of(found.agent))

    return (
        # Without a slash at the end: with one it is another face's.
        Route("/v1/models", telling(models, refusal), methods=["GET"]),
        Route("/v1/models/agent-{rest}", telling(model, refusal), methods=["GET"]),
        Route("/v1/models/{name:path}", telling(_nobody, refusal), methods=["GET"]),
    )


async def _nobody(_request: Request) -> Response:
    code = grpc.StatusCode.NOT_FOUND
    raise refused(NO_AGENT, http=404, code=code, reason="AGENT_NOT_FOUND", fields={"model": NO_AGENT})


async def _agents(context: FaceContext, metadata: Metadata) -> AsyncGenerator[agents_pb2.Agent, None]:
    stub = agent_service_pb2_grpc.AgentServiceStub(context.channel)
    token = ""
    while True:
        page = await settled(
            stub.ListAgents(agent_service_pb2.ListAgentsRequest(page_size=_PAGE, page_token=token), metadata=metadata)
        )
        for agent in page.agents:
            yield agent
        token = page.next_page_token
        if not token:
            return


def _model_of(agent: agents_pb2.Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "object": "model",
        "created": agent.create_time.seconds,
        "owned_by": "letta_grpc",
        # Not OpenAI's, but what people choose by.
        "name": agent.name,
    }
