"""Enums: each name of the domain's stands on the wire under its type's prefix."""

from collections.abc import Collection
from enum import Enum
from typing import Generic, Protocol, TypeVar

from letta_grpc.domain.agents import AgentKind
from letta_grpc.domain.approvals import ActionKind
from letta_grpc.domain.messages import Role, ToolReturnStatus
from letta_grpc.domain.passages import SearchMode
from letta_grpc.domain.runs import CompactionMode, ConflictPolicy, DisconnectPolicy, RunKind, RunState, StopReason
from letta_grpc.domain.tools import OutputStream
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.v1 import agents_pb2, archive_service_pb2, events_pb2, messages_pb2, runs_pb2

D = TypeVar("D", bound=Enum)
P = TypeVar("P", bound=int)
P_co = TypeVar("P_co", bound=int, covariant=True)


class _Wire(Protocol[P_co]):
    def Value(self, name: str, /) -> P_co: ...  # noqa: N802 - protobuf's name


class EnumTable(Generic[D, P]):
    """One enum of the domain and its twin on the wire."""

    def __init__(self, domain: type[D], wire: _Wire[P], prefix: str) -> None:
        self.to_pb: dict[D, P] = {value: wire.Value(f"{prefix}_{value.name}") for value in domain}
        self.from_pb: dict[int, D] = {number: value for value, number in self.to_pb.items()}
        self._names = ", ".join(f"{prefix}_{value.name}" for value in domain)

    def checked(self, rules: Rules, path: str, number: int, default: D) -> D:
        """Return a value from a request; unspecified means `default`."""
        if number == 0:
            return default
        if number not in self.from_pb:
            rules.broken(path, f"must be one of {self._names}, is {number}")
        return self.from_pb.get(number, default)

    def checked_all(self, rules: Rules, path: str, numbers: Collection[int]) -> tuple[D, ...]:
        """Return the values of a repeated field of a request; no more of them than there are."""
        values = []
        for index, number in enumerate(rules.at_most(path, numbers, len(self.from_pb))):
            if number in self.from_pb:
                values.append(self.from_pb[number])
            else:
                rules.broken(f"{path}[{index}]", f"must be one of {self._names}, is {number}")
        return tuple(values)


ROLES = EnumTable(Role, messages_pb2.Role, "ROLE")
TOOL_RETURN_STATUSES = EnumTable(ToolReturnStatus, messages_pb2.ToolReturnStatus, "TOOL_RETURN_STATUS")
RUN_STATES = EnumTable(RunState, runs_pb2.RunState, "RUN_STATE")
STOP_REASONS = EnumTable(StopReason, runs_pb2.StopReason, "STOP_REASON")
CONFLICT_POLICIES = EnumTable(ConflictPolicy, runs_pb2.ConflictPolicy, "CONFLICT_POLICY")
DISCONNECT_POLICIES = EnumTable(DisconnectPolicy, runs_pb2.DisconnectPolicy, "DISCONNECT_POLICY")
COMPACTION_MODES = EnumTable(CompactionMode, runs_pb2.CompactionMode, "COMPACTION_MODE")
RUN_KINDS = EnumTable(RunKind, runs_pb2.RunKind, "RUN_KIND")
ACTION_KINDS = EnumTable(ActionKind, runs_pb2.ActionKind, "ACTION_KIND")
SEARCH_MODES = EnumTable(SearchMode, archive_service_pb2.SearchMode, "SEARCH_MODE")
AGENT_KINDS = EnumTable(AgentKind, agents_pb2.AgentKind, "AGENT_KIND")
OUTPUT_STREAMS = EnumTable(OutputStream, events_pb2.OutputStream, "OUTPUT_STREAM")
