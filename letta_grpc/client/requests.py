"""From keyword arguments to requests."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, TypedDict, TypeVar, Unpack, cast

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from letta_grpc.client.values import JsonText, RequestId, Seconds, chosen, duration, id_of, json_text, request_id_of, texts
from letta_grpc.v1 import agent_files_pb2, agents_pb2, archive_service_pb2, blocks_pb2, messages_pb2, run_service_pb2, runs_pb2

Input = str | messages_pb2.InputMessage
Inputs = Input | Sequence[Input]
Kind = Literal["react", "memgpt"]
SearchMode = Literal["best", "words", "meaning"]
Resource = TypeVar("Resource", bound=Message)
AnyStart = TypeVar(
    "AnyStart",
    run_service_pb2.StreamRunRequest,
    run_service_pb2.ExecuteRunRequest,
    run_service_pb2.CreateRunRequest,
    run_service_pb2.ConverseStart,
    run_service_pb2.RunStart,
)

FINAL_STATES = frozenset(
    {
        runs_pb2.RUN_STATE_COMPLETED,
        runs_pb2.RUN_STATE_INTERRUPTED,
        runs_pb2.RUN_STATE_FAILED,
        runs_pb2.RUN_STATE_CANCELLED,
    }
)
DEFAULT_HEARTBEAT_SECONDS = 15.0
SILENT_INTERVALS = 3


_KINDS = {
    None: agents_pb2.AGENT_KIND_UNSPECIFIED,
    "react": agents_pb2.AGENT_KIND_REACT,
    "memgpt": agents_pb2.AGENT_KIND_MEMGPT,
}
_CONFLICT_POLICIES = {
    None: runs_pb2.CONFLICT_POLICY_UNSPECIFIED,
    "reject": runs_pb2.CONFLICT_POLICY_REJECT,
    "enqueue": runs_pb2.CONFLICT_POLICY_ENQUEUE,
    "interrupt": runs_pb2.CONFLICT_POLICY_INTERRUPT,
}
_DISCONNECT_POLICIES = {
    None: runs_pb2.DISCONNECT_POLICY_UNSPECIFIED,
    "continue": runs_pb2.DISCONNECT_POLICY_CONTINUE,
    "cancel": runs_pb2.DISCONNECT_POLICY_CANCEL,
}
_SEARCH_MODES: Mapping[str | None, "archive_service_pb2.SearchMode.ValueType"] = {
    "best": archive_service_pb2.SEARCH_MODE_BEST,
    "words": archive_service_pb2.SEARCH_MODE_WORDS,
    "meaning": archive_service_pb2.SEARCH_MODE_MEANING,
}


class RunArguments(TypedDict, total=False):
    """How to run: the keyword arguments that `stream`, `execute` and `create` share.

    conversation_id    the conversation; without it the agent's default one
    request_id         a UUID that makes the start safe to repeat; without it a new one
    max_steps          how many times the model may be asked (50)
    run_timeout        how long the run may take, a timedelta or seconds (10 minutes); not the time of the call
    conflict_policy    when the conversation is busy: "reject" (default), "enqueue" or "interrupt"
    disconnect_policy  when nobody reads: "continue" (default) or "cancel"
    disconnect_grace   how long a run with policy "cancel" may be without a reader (5 seconds)
    approval_timeout   how long calls may wait for answers before they are denied (24 hours)
    client_tools       tools that the caller runs; `client.turn` takes functions and runs them
    tool_choice        a tool that the model has to call first, or several: one of them
    model              the model for this run, in place of the agent's
    system             the system prompt for this run, in place of the agent's
    response_format    JSON Schema, a mapping or text: the model's answer is JSON of this shape
    callback_url       the address that the server tells of the run's end
    metadata           kept with the run
    background         marks the run as background work, for listings
    """

    conversation_id: str | None
    request_id: RequestId | None
    max_steps: int | None
    run_timeout: Seconds | None
    conflict_policy: Literal["reject", "enqueue", "interrupt"] | None
    disconnect_policy: Literal["continue", "cancel"] | None
    disconnect_grace: Seconds | None
    approval_timeout: Seconds | None
    client_tools: Sequence[runs_pb2.ClientTool]
    tool_choice: str | Sequence[str] | None
    model: str | None
    system: str | None
    response_format: JsonText | None
    callback_url: str | None
    metadata: Mapping[str, str] | None
    background: bool


def run_spec(messages: Inputs, arguments: RunArguments) -> runs_pb2.RunSpec:
    """Return what to run."""
    return runs_pb2.RunSpec(
        messages=input_messages(messages),
        max_steps=arguments.get("max_steps"),
        run_timeout=duration(arguments.get("run_timeout"), "run_timeout"),
        conflict_policy=chosen("conflict_policy", arguments.get("conflict_policy"), _CONFLICT_POLICIES),
        disconnect_policy=chosen("disconnect_policy", arguments.get("disconnect_policy"), _DISCONNECT_POLICIES),
        disconnect_grace=duration(arguments.get("disconnect_grace"), "disconnect_grace"),
        approval_timeout=duration(arguments.get("approval_timeout"), "approval_timeout"),
        client_tools=arguments.get("client_tools"),
        tool_choice=[choice] if isinstance(choice := arguments.get("tool_choice"), str) else choice,
        model=arguments.get("model"),
        system=arguments.get("system"),
        response_format=json_text(arguments.get("response_format")),
        callback_url=arguments.get("callback_url"),
        metadata=texts(arguments.get("metadata")),
        background=arguments.get("background", False),
    )


def run_start(agent_id: str, messages: Inputs, **run: Unpack[RunArguments]) -> run_service_pb2.RunStart:
    """Return one of the starts of `client.stream_many`."""
    return start_of(run_service_pb2.RunStart, agent_id, messages, run)


def start_of(kind: type[AnyStart], agent_id: str, messages: Inputs, run: RunArguments) -> AnyStart:
    """Return a start, as this sort of request has it. It can be repeated without harm: it has a request id.

    Raises TypeError for an argument that RunArguments does not know or that is of another type, ValueError for other words.
    """
    refuse_unknown(run, RunArguments)
    return kind(
        agent_id=id_of("agent_id", agent_id),
        conversation_id=id_of("conversation_id", run.get("conversation_id") or ""),
        request_id=request_id_of(run.get("request_id")),
        run=run_spec(messages, run),
    )


def refuse_unknown(given: Mapping[str, object], known: type) -> None:
    """Raise TypeError for a keyword argument that a TypedDict does not know, as Python does for one that a signature lacks."""
    for name in given:
        if name not in known.__annotations__:
            meant = "".join(f". Did you mean {one!r}?" for one in get_close_matches(name, known.__annotations__, n=1))
            raise TypeError(f"got an unexpected keyword argument {name!r}{meant}")


def input_messages(messages: Inputs) -> list[messages_pb2.InputMessage]:
    """Return the input; a plain string is what a person says."""
    given: Iterable[Input] = [messages] if isinstance(messages, str | messages_pb2.InputMessage) else messages
    return [messages_pb2.InputMessage(user=messages_pb2.UserInput(text=one)) if isinstance(one, str) else one for one in given]


def memory_blocks(
    persona: str | None, human: str | None, blocks: Mapping[str, str] | Sequence[blocks_pb2.Block] | None
) -> list[blocks_pb2.Block]:
    """Return an agent's blocks: the two that most agents have, then the others."""
    known = {"persona": persona, "human": human}
    named = [blocks_pb2.Block(label=label, value=value) for label, value in known.items() if value is not None]
    if isinstance(blocks, Mapping):
        return named + [blocks_pb2.Block(label=label, value=value) for label, value in blocks.items()]
    return named + list(blocks or ())


def agent_file(file: agent_files_pb2.AgentFile | str) -> agent_files_pb2.AgentFile:
    """Return an agent file; of one as JSON text what it says. Raises ValueError for other texts."""
    if not isinstance(file, str):
        return file
    from google.protobuf import json_format  # noqa: PLC0415 - only who reads a file pays for loading it

    try:
        return json_format.Parse(file, agent_files_pb2.AgentFile())
    except json_format.ParseError as error:
        raise ValueError(f"this is no agent file of this server's: {error}") from error


def change(empty: Resource, values: Mapping[str, object]) -> tuple[Resource, FieldMask]:
    """Return a resource that holds the values which are not None, and the mask that names them."""
    given = {name: value for name, value in values.items() if value is not None}
    changed = type(empty)(**given)
    return changed, FieldMask(paths=list(given))


def silence_limit(options: run_service_pb2.StreamOptions) -> float | None:
    """Return how many seconds without a word mean that a stream is dead; None where no heartbeats were asked for."""
    if not options.HasField("heartbeat_interval"):
        return SILENT_INTERVALS * DEFAULT_HEARTBEAT_SECONDS
    return SILENT_INTERVALS * options.heartbeat_interval.ToTimedelta().total_seconds() or None


def agent_kind(kind: Kind | None) -> "agents_pb2.AgentKind.ValueType":
    """Return how an agent speaks; None leaves the server its default."""
    return chosen("kind", kind, _KINDS)


def answering(arguments: RunArguments, run: runs_pb2.Run) -> RunArguments:
    """Return what the runs of a turn share: an answer has a request id of its own and passes ahead of what is queued.

    Its tools and its shape of an answer are those of the run that waits.
    """
    first_alone = {"request_id", "conflict_policy", "client_tools", "tool_choice", "model", "system", "response_format"}
    kept = {name: value for name, value in arguments.items() if name not in first_alone}
    return cast("RunArguments", kept | {"conversation_id": run.conversation_id})


def search_mode(mode: SearchMode) -> "archive_service_pb2.SearchMode.ValueType":
    """Return how an archive is searched."""
    return chosen("mode", mode, _SEARCH_MODES)


def compaction_mode(*, everything: bool) -> "runs_pb2.CompactionMode.ValueType":
    """Return what a compaction leaves in the context."""
    return runs_pb2.COMPACTION_MODE_ALL if everything else runs_pb2.COMPACTION_MODE_SLIDING_WINDOW
