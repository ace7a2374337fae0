"""Memory blocks, by their ids and by agent and label."""

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.domain.blocks import DEFAULT_BLOCK_LIMIT, Block
from letta_grpc.domain.ids import AgentId, BlockId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.engine.blocks import NewBlock
from letta_grpc.transport.convert.masks import changes_from_mask
from letta_grpc.transport.convert.paging import page_from_pb
from letta_grpc.transport.convert.rules import MAX_DESCRIPTION, Rules
from letta_grpc.transport.convert.times import timestamp_to_pb
from letta_grpc.v1 import agent_service_pb2, block_service_pb2
from letta_grpc.v1 import blocks_pb2 as pb

MAX_BLOCK_LIMIT = 100_000
# An agent may have 64 blocks, and all of them come in one response.
_MAX_METADATA_BYTES = 8192


def block_to_pb(block: Block) -> pb.Block:
    """Return a block."""
    return pb.Block(
        id=block.id,
        label=block.label,
        value=block.value,
        description=block.description,
        limit=block.limit,
        read_only=block.read_only,
        metadata=block.metadata,
        create_time=timestamp_to_pb(block.create_time),
        update_time=timestamp_to_pb(block.update_time),
        version=block.version,
    )


def new_block_from_pb(request: block_service_pb2.CreateBlockRequest) -> NewBlock:
    """Return the block to make."""
    with Rules() as rules:
        return new_block(rules, "block", request.block)


def new_block(rules: Rules, path: str, block: pb.Block) -> NewBlock:
    """Return a block of a request. One with an id stands for a stored block, and only its id is looked at."""
    stored = rules.optional_id(f"{path}.id", "block", block.id)
    label = block.label if stored else rules.label(f"{path}.label", block.label)
    limit = _limit(rules, f"{path}.limit", block) if block.HasField("limit") else None
    value = rules.text(f"{path}.value", block.value, limit or DEFAULT_BLOCK_LIMIT)
    return NewBlock(
        id=BlockId(stored) if stored else None,
        label=label,
        value=value,
        description=rules.text(f"{path}.description", block.description, MAX_DESCRIPTION),
        limit=limit,
        read_only=block.read_only,
        metadata=rules.metadata(f"{path}.metadata", block.metadata, _MAX_METADATA_BYTES),
    )


def _limit(rules: Rules, path: str, block: pb.Block) -> int:
    return rules.number(path, block.limit, 1, MAX_BLOCK_LIMIT)


def _changes(rules: Rules, block: pb.Block, mask: FieldMask) -> dict[str, object]:
    """Return the changes of a block; whether the value fits the limit is known only where both are stored."""
    return changes_from_mask(
        rules,
        mask,
        {
            "label": lambda: rules.label("block.label", block.label),
            "value": lambda: rules.text("block.value", block.value, MAX_BLOCK_LIMIT),
            "description": lambda: rules.text("block.description", block.description, MAX_DESCRIPTION),
            "limit": lambda: _limit(rules, "block.limit", block) if block.HasField("limit") else DEFAULT_BLOCK_LIMIT,
            "read_only": lambda: block.read_only,
            "metadata": lambda: rules.metadata("block.metadata", block.metadata, _MAX_METADATA_BYTES),
        },
    )


def block_id_from_pb(request: block_service_pb2.GetBlockRequest | block_service_pb2.DeleteBlockRequest) -> BlockId:
    """Return which block is meant."""
    with Rules() as rules:
        block_id = rules.id("block_id", "block", request.block_id)
    return BlockId(block_id)


def block_update_from_pb(request: block_service_pb2.UpdateBlockRequest) -> tuple[BlockId, dict[str, object], int | None]:
    """Return which block to change, how, and which version it must have."""
    with Rules() as rules:
        block_id = rules.id("block_id", "block", request.block_id)
        changes = _changes(rules, request.block, request.update_mask)
        version = _expected_version(rules, request)
    return BlockId(block_id), changes, version


def memory_from_pb(request: agent_service_pb2.GetMemoryBlockRequest) -> tuple[AgentId, str]:
    """Return which block is meant, by agent and label."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        label = rules.label("label", request.label)
    return AgentId(agent_id), label


def memory_update_from_pb(
    request: agent_service_pb2.UpdateMemoryBlockRequest,
) -> tuple[AgentId, str, dict[str, object], int | None]:
    """Return which block to change, by agent and label, how, and which version it must have."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        label = rules.label("label", request.label)
        changes = _changes(rules, request.block, request.update_mask)
        version = _expected_version(rules, request)
    return AgentId(agent_id), label, changes, version


def _expected_version(
    rules: Rules, request: block_service_pb2.UpdateBlockRequest | agent_service_pb2.UpdateMemoryBlockRequest
) -> int | None:
    """Return which version a block must have to be changed; None for any."""
    if not request.HasField("expected_version"):
        return None
    return rules.at_least("expected_version", request.expected_version, 1)


def blocks_query_from_pb(request: block_service_pb2.ListBlocksRequest) -> tuple[PageRequest, str | None, AgentId | None]:
    """Return which blocks to list: page, label, agent."""
    with Rules() as rules:
        page = page_from_pb(rules, request, request.after_id)
        agent_id = rules.optional_id("agent_id", "agent", request.agent_id)
        if request.agent_id and request.unattached:
            rules.broken("unattached", "must not be set together with agent_id")
    return page, request.label or None, AgentId(agent_id) if agent_id else None


def attachment_from_pb(
    request: block_service_pb2.AttachBlockRequest | block_service_pb2.DetachBlockRequest,
) -> tuple[AgentId, BlockId]:
    """Return which block is meant, and which agent."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        block_id = rules.id("block_id", "block", request.block_id)
    return AgentId(agent_id), BlockId(block_id)
