"""From a caller's request for a run to the start that the journal is asked to store."""

from dataclasses import dataclass

from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.fingerprint import fingerprint
from letta_grpc.domain.ids import AgentId, ConversationId, RunId, new_message_id, new_run_id, new_step_id
from letta_grpc.domain.inputs import entering, words_behind_answers
from letta_grpc.domain.runs import Run, RunKind, RunSpec, RunState
from letta_grpc.engine.answer_shape import check_speech
from letta_grpc.engine.models import check_model
from letta_grpc.engine.toolbox import check_choice
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Admit, Start
from letta_grpc.ports.models import Models


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A start as a caller asks for it. Without a request id it cannot be repeated safely.

    `parent_run_ids`: the runs whose tools ask for it, the outermost first.
    """

    agent_id: AgentId
    conversation_id: ConversationId | None
    request_id: str | None
    spec: RunSpec
    parent_run_ids: tuple[RunId, ...] = ()
    traceparent: str | None = None


def start_of(request: StartRequest, spec: RunSpec) -> Start:
    """Return the start of a run of `spec`, the request's own as it is to be run, with an id for the run.

    The fingerprint is of the request as it came: what it names by address may be something else at the next attempt.
    """
    run_id = new_run_id()
    return Start(
        run_id=run_id,
        agent_id=request.agent_id,
        conversation_id=request.conversation_id,
        request_id=request.request_id or run_id.removeprefix("run-"),
        # Nobody knows the request id that is made up here, so no other start can be a repetition of this one.
        fingerprint=fingerprint(request.agent_id, request.conversation_id, request.spec) if request.request_id else "",
        is_repeatable=request.request_id is not None,
        spec=spec,
        first_step_id=None if spec.kind is RunKind.CAPTURE else new_step_id(),
        parent_run_ids=request.parent_run_ids,
        traceparent=request.traceparent,
    )


def admission(start: Start, models: Models, clock: Clock) -> Admit:
    """Return the function that builds a start's run, or refuses the start, as with ModelUnknown."""

    def admit(agent: Agent, conversation: Conversation, spec: RunSpec) -> Run:
        handle = spec.model or conversation.model or agent.model
        # The field of the request that the model comes from, for errors.
        path = "run.model" if spec.model else "conversation_id" if conversation.model else "agent_id"
        # A turn that happened elsewhere may be of a model that is not known here.
        if spec.kind is not RunKind.CAPTURE:
            check_model(models, handle, path)
        check_speech(agent, spec)
        check_choice(agent, spec)
        now = clock.now()
        return Run(
            id=start.run_id,
            agent_id=agent.id,
            conversation_id=conversation.id,
            request_id=start.request_id,
            parent_run_ids=start.parent_run_ids,
            kind=spec.kind,
            model=handle,
            state=RunState.RUNNING,
            create_time=now,
            start_time=now,
            input_message_ids=tuple(new_message_id() for _ in (*entering(spec), *words_behind_answers(spec))),
            background=spec.background,
            metadata=spec.metadata,
        )

    return admit
