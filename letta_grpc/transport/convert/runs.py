"""Runs and steps."""

from datetime import timedelta

from letta_grpc.domain.ids import AgentId, ConversationId, MessageId, RunId
from letta_grpc.domain.runs import ConflictPolicy, DisconnectPolicy, Run, RunError, RunKind, RunSpec, Step
from letta_grpc.transport.convert.actions import MAX_CLIENT_TOOLS, action_from_pb, action_to_pb, client_tools_from_pb
from letta_grpc.transport.convert.callbacks import callback_from_pb, callback_to_pb, callback_url_from_pb
from letta_grpc.transport.convert.enums import CONFLICT_POLICIES, DISCONNECT_POLICIES, RUN_KINDS, RUN_STATES, STOP_REASONS
from letta_grpc.transport.convert.inputs import input_from_pb
from letta_grpc.transport.convert.rules import MAX_NAME, Rules
from letta_grpc.transport.convert.times import checked_duration, timestamp_from_pb, timestamp_to_pb
from letta_grpc.transport.convert.usage import timing_from_pb, timing_to_pb, usage_from_pb, usage_to_pb
from letta_grpc.v1 import errors_pb2
from letta_grpc.v1 import runs_pb2 as pb

MAX_STEPS = 1000
_MAX_SCHEMA_BYTES = 65_536
_DEFAULT = RunSpec(messages=())


def run_to_pb(run: Run) -> pb.Run:
    """Return a run as it stands."""
    return pb.Run(
        id=run.id,
        agent_id=run.agent_id,
        conversation_id=run.conversation_id,
        request_id=run.request_id,
        resumes_run_id=run.resumes_run_id,
        parent_run_ids=run.parent_run_ids,
        kind=RUN_KINDS.to_pb[run.kind],
        state=RUN_STATES.to_pb[run.state],
        stop_reason=STOP_REASONS.to_pb[run.stop_reason] if run.stop_reason else pb.STOP_REASON_UNSPECIFIED,
        attempt=run.attempt,
        create_time=timestamp_to_pb(run.create_time),
        start_time=timestamp_to_pb(run.start_time) if run.start_time else None,
        end_time=timestamp_to_pb(run.end_time) if run.end_time else None,
        usage=usage_to_pb(run.usage),
        timing=timing_to_pb(run.timing) if run.timing else None,
        pending_actions=[action_to_pb(action) for action in run.pending_actions],
        input_message_ids=run.input_message_ids,
        error=_error_to_pb(run.error) if run.error else None,
        last_sequence_number=run.last_sequence_number,
        callback=callback_to_pb(run.callback) if run.callback else None,
        background=run.background,
        metadata=run.metadata,
        model=run.model,
    )


def run_from_pb(run: pb.Run) -> Run:
    """Return a run that the server wrote."""
    return Run(
        id=RunId(run.id),
        agent_id=AgentId(run.agent_id),
        conversation_id=ConversationId(run.conversation_id),
        request_id=run.request_id,
        resumes_run_id=RunId(run.resumes_run_id) if run.HasField("resumes_run_id") else None,
        parent_run_ids=tuple(RunId(id_) for id_ in run.parent_run_ids),
        # Runs of before there were kinds have none.
        kind=RUN_KINDS.from_pb.get(run.kind, RunKind.TURN),
        state=RUN_STATES.from_pb[run.state],
        stop_reason=STOP_REASONS.from_pb.get(run.stop_reason),
        attempt=run.attempt,
        create_time=timestamp_from_pb(run.create_time),
        start_time=timestamp_from_pb(run.start_time) if run.HasField("start_time") else None,
        end_time=timestamp_from_pb(run.end_time) if run.HasField("end_time") else None,
        usage=usage_from_pb(run.usage),
        timing=timing_from_pb(run.timing) if run.HasField("timing") else None,
        pending_actions=tuple(action_from_pb(action) for action in run.pending_actions),
        input_message_ids=tuple(MessageId(id_) for id_ in run.input_message_ids),
        error=_error_from_pb(run.error) if run.HasField("error") else None,
        last_sequence_number=run.last_sequence_number if run.HasField("last_sequence_number") else None,
        callback=callback_from_pb(run.callback) if run.HasField("callback") else None,
        background=run.background,
        metadata=dict(run.metadata),
        model=run.model,
    )


def _error_to_pb(error: RunError) -> errors_pb2.RunError:
    return errors_pb2.RunError(reason=error.reason, message=error.message, metadata=error.metadata)


def _error_from_pb(error: errors_pb2.RunError) -> RunError:
    return RunError(reason=error.reason, message=error.message, metadata=dict(error.metadata))


def step_to_pb(step: Step) -> pb.Step:
    """Return a completed step."""
    return pb.Step(
        id=step.id,
        run_id=step.run_id,
        index=step.index,
        model=step.model,
        usage=usage_to_pb(step.usage),
        timing=timing_to_pb(step.timing),
        message_ids=step.message_ids,
        complete_time=timestamp_to_pb(step.complete_time),
    )


def spec_from_pb(rules: Rules, path: str, spec: pb.RunSpec) -> RunSpec:
    """Return what to run, with defaults where the request says nothing."""
    max_steps = spec.max_steps if spec.HasField("max_steps") else _DEFAULT.max_steps
    conflict, disconnect = ConflictPolicy.REJECT, DisconnectPolicy.CONTINUE
    return RunSpec(
        messages=input_from_pb(rules, f"{path}.messages", spec.messages),
        max_steps=rules.number(f"{path}.max_steps", max_steps, 1, MAX_STEPS),
        run_timeout=_run_timeout(rules, f"{path}.run_timeout", spec),
        conflict_policy=CONFLICT_POLICIES.checked(rules, f"{path}.conflict_policy", spec.conflict_policy, conflict),
        disconnect_policy=DISCONNECT_POLICIES.checked(rules, f"{path}.disconnect_policy", spec.disconnect_policy, disconnect),
        disconnect_grace=_disconnect_grace(rules, f"{path}.disconnect_grace", spec),
        approval_timeout=_approval_timeout(rules, f"{path}.approval_timeout", spec),
        client_tools=client_tools_from_pb(rules, f"{path}.client_tools", spec.client_tools),
        model=rules.text(f"{path}.model", spec.model, MAX_NAME, required=True) if spec.HasField("model") else None,
        system=rules.long_text(f"{path}.system", spec.system) if spec.HasField("system") else None,
        response_format=_response_format(rules, f"{path}.response_format", spec),
        callback_url=callback_url_from_pb(rules, f"{path}.callback_url", spec),
        metadata=rules.metadata(f"{path}.metadata", spec.metadata),
        background=spec.background,
        tool_choice=rules.names(f"{path}.tool_choice", spec.tool_choice, MAX_CLIENT_TOOLS),
    )


def _run_timeout(rules: Rules, path: str, spec: pb.RunSpec) -> timedelta:
    if not spec.HasField("run_timeout"):
        return _DEFAULT.run_timeout
    return checked_duration(rules, path, spec.run_timeout, timedelta(seconds=1), timedelta(hours=24))


def _approval_timeout(rules: Rules, path: str, spec: pb.RunSpec) -> timedelta:
    if not spec.HasField("approval_timeout"):
        return _DEFAULT.approval_timeout
    return checked_duration(rules, path, spec.approval_timeout, timedelta(seconds=1), timedelta(days=30))


def _response_format(rules: Rules, path: str, spec: pb.RunSpec) -> str | None:
    if not spec.HasField("response_format"):
        return None
    return rules.json_object(path, spec.response_format, _MAX_SCHEMA_BYTES)


def _disconnect_grace(rules: Rules, path: str, spec: pb.RunSpec) -> timedelta:
    if not spec.HasField("disconnect_grace"):
        return _DEFAULT.disconnect_grace
    return checked_duration(rules, path, spec.disconnect_grace, timedelta(), timedelta(hours=1))
