"""The stubs that this face calls."""

import grpc

from letta_grpc.v1 import (
    agent_service_pb2_grpc,
    archive_service_pb2_grpc,
    block_service_pb2_grpc,
    conversation_service_pb2_grpc,
    model_service_pb2_grpc,
    run_service_pb2_grpc,
    tool_service_pb2_grpc,
)


class Services:
    """The services behind a channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.agents = agent_service_pb2_grpc.AgentServiceStub(channel)
        self.archives = archive_service_pb2_grpc.ArchiveServiceStub(channel)
        self.blocks = block_service_pb2_grpc.BlockServiceStub(channel)
        self.conversations = conversation_service_pb2_grpc.ConversationServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.runs = run_service_pb2_grpc.RunServiceStub(channel)
        self.tools = tool_service_pb2_grpc.ToolServiceStub(channel)
