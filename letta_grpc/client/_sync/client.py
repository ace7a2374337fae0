"""The client: one object per server."""

from collections.abc import Iterable
from datetime import UTC
from types import TracebackType
from typing import Self, TypeVar, Unpack
from weakref import WeakValueDictionary

from letta_grpc.client import dialing
from letta_grpc.client._sync.agents import Agents
from letta_grpc.client._sync.archive import Archive
from letta_grpc.client._sync.blocks import Blocks
from letta_grpc.client._sync.connection import Connection
from letta_grpc.client._sync.conversations import Conversations
from letta_grpc.client._sync.dialogue import Dialogue
from letta_grpc.client._sync.mcp_servers import McpServers
from letta_grpc.client._sync.models import Models
from letta_grpc.client._sync.runs import Runs
from letta_grpc.client._sync.several import RunStreams
from letta_grpc.client._sync.stream import RunStream
from letta_grpc.client._sync.tools import Tools
from letta_grpc.client._sync.turn import Answering, Turn, Decide
from letta_grpc.client.answers import Answers, answer_messages
from letta_grpc.client.budgets import Budget
from letta_grpc.client.forks import is_sound_process
from letta_grpc.client.functions import Function, by_name, client_tool
from letta_grpc.client.lanes import Lane, lane_start
from letta_grpc.client.on_threads import Channel, Sleep, open_channel
from letta_grpc.client.requests import Inputs, RunArguments, answering, start_of
from letta_grpc.client.retry import RetryPolicy
from letta_grpc.client.values import id_of
from letta_grpc.v1 import run_service_pb2, runs_pb2

AnyStream = TypeVar("AnyStream", RunStream, RunStreams, Dialogue, Turn)

_DEFAULT_RETRY = RetryPolicy()


class Client:
    """Speaks to one server, over one channel.

    An asynchronous client may be made before there is an event loop. It belongs to the loop of its first call: used in another
    one it raises RuntimeError. Make one client per loop.

    A client belongs to the process of its first call: in a forked child its calls raise RuntimeError. Where workers are
    forked, make a client in each worker, or at least call nothing before the fork. Fork only while no call is open: in a child
    that was forked amid a call grpc may crash, so there every client raises RuntimeError. While an asynchronous client has a
    call open, grpc crashes in some children at the fork itself, unless GRPC_ENABLE_FORK_SUPPORT=0 is set before grpc is
    imported.

    target           host:port where the server serves gRPC, or any other name that grpc resolves; no URL
    api_key          sent as `authorization: Bearer` with every call
    tls              True for the system's roots, or channel credentials of your own
    channel          an open channel to use instead of `target` and `tls`; closing the client leaves it open
    timeout_seconds  how long a call may take, math.inf for no limit; streams and `runs.execute` take as long as the run
    retry            how patient the client is with what can be repeated without harm
    sleep            what to wait with between two tries, in place of a wait that closing the stream or the client ends
    """

    def __init__(
        self,
        target: str = dialing.DEFAULT_TARGET,
        *,
        api_key: str | None = None,
        tls: dialing.Tls = False,
        channel: Channel | None = None,
        timeout_seconds: float | None = 60.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        sleep: Sleep | None = None,
    ) -> None:
        limit = dialing.time_limit(timeout_seconds)
        used = channel or open_channel(dialing.checked_target(target), tls)
        self._owned_channel = used if channel is None else None
        self._connection = Connection(
            used,
            metadata=dialing.call_metadata(api_key),
            timeout_seconds=limit,
            retry=retry,
            sleep=sleep,
        )
        # By identity. Its references are listed in one go, while other threads may begin streams; a WeakSet's are not.
        self._streams: WeakValueDictionary[int, RunStream | RunStreams | Turn] = WeakValueDictionary()
        self.runs = Runs(self._connection)
        self.agents = Agents(self._connection)
        self.conversations = Conversations(self._connection)
        self.archive = Archive(self._connection)
        self.blocks = Blocks(self._connection)
        self.models = Models(self._connection)
        self.tools = Tools(self._connection)
        self.mcp_servers = McpServers(self._connection)

    def stream(
        self,
        agent_id: str,
        messages: Inputs,
        *,
        options: run_service_pb2.StreamOptions | None = None,
        **run: Unpack[RunArguments],
    ) -> RunStream:
        """Return the stream of a new run, which starts with the first use of the stream. See RunArguments.

        Safe against broken connections from the first moment on: a start that is repeated has the same request id.
        """
        request = start_of(run_service_pb2.StreamRunRequest, agent_id, messages, run)
        if options is not None:
            request.options.CopyFrom(options)
        return self._stream(request)

    def answer(
        self,
        run: runs_pb2.Run,
        answers: Answers,
        *,
        options: run_service_pb2.StreamOptions | None = None,
        **arguments: Unpack[RunArguments],
    ) -> RunStream:
        """Return the stream of a new run that answers another's waiting calls: `approve`, `deny` or `tool_return` by call.

        Tools, model, system prompt and response format are those of the run that waits, unless others are given. If some calls
        get no answer they go on waiting, and the new run ends at once, INTERRUPTED again.
        """
        arguments.setdefault("conversation_id", run.conversation_id)
        return self.stream(run.agent_id, answer_messages(answers), options=options, **arguments)

    def turn(
        self,
        agent_id: str,
        messages: Inputs,
        *,
        tools: Iterable[Function] = (),
        decide: Decide | None = None,
        options: run_service_pb2.StreamOptions | None = None,
        **run: Unpack[RunArguments],
    ) -> Turn:
        """Return a whole turn as one stream: a run, and the runs that answer its calls, which this client does by itself.

        tools   functions that the model may call. They run here; annotations and docstrings tell the model about them.
                If one raises, the model is told so, and the turn goes on.
        decide  asked about each call that waits for approval: it returns `approve()`, `deny(…)`, or None to let it wait

        The turn ends with the first run that waits for nothing, or for nothing that is answered here. `max_steps` (50) bounds
        the steps of all its runs together, `run_timeout` their time together, that of functions and decisions included. When
        either is used up and the model still calls, no function is run, and reading raises TurnExhausted.
        """
        functions = by_name(tools)
        run["client_tools"] = [*run.get("client_tools", ()), *map(client_tool, functions.values())]
        first = self.stream(agent_id, messages, options=options, **run)
        budget = Budget(run)

        def follow_up(waiting: runs_pb2.Run, answers: Answers) -> RunStream:
            arguments: RunArguments = {**answering(run, waiting), **budget.left(waiting)}
            return self.answer(waiting, answers, options=options, **arguments)

        def denial(waiting: runs_pb2.Run) -> RunStream | None:
            for one in self.runs.list(
                conversation_id=waiting.conversation_id,
                states=[runs_pb2.RUN_STATE_CANCELLED],
                created_from=waiting.create_time.ToDatetime(UTC),
            ):
                if one.resumes_run_id == waiting.id:
                    return self.attach(one.id, options=options)
            return None

        return self._remember(Turn(first, follow_up, denial, Answering(functions, decide), budget))

    def attach(self, run_id: str, *, after: int = 0, options: run_service_pb2.StreamOptions | None = None) -> RunStream:
        """Return the stream of a run that was started before, beginning behind the event with the number `after`."""
        request = run_service_pb2.AttachRunRequest(
            run_id=id_of("run_id", run_id), after_sequence_number=after, options=options
        )
        return self._stream(request)

    def stream_many(
        self, starts: Iterable[run_service_pb2.RunStart], *, options: run_service_pb2.StreamOptions | None = None
    ) -> RunStreams:
        """Return one stream of several new runs, 1 to 64, which start with its first use. See `run_start`.

        If a start is refused, the others go on. A request that breaks a rule starts nothing, and raises.
        """
        request = run_service_pb2.StreamRunsRequest(starts=starts, options=options)
        lanes = [Lane(str(index), lane_start(start, options)) for index, start in enumerate(request.starts)]
        return self._remember(RunStreams(self._connection, lanes, options, first=request))

    def converse(self, *, options: run_service_pb2.StreamOptions | None = None) -> Dialogue:
        """Return a stream on which runs are started, answered and followed as the talk goes: many turns over one call."""
        return self._remember(Dialogue(self._connection, options))

    def close(self) -> None:
        """Close every stream and the channel. Runs go on. Whatever is asked of the client from then on raises StreamClosed."""
        for reference in self._streams.valuerefs():
            if (stream := reference()) is not None:
                stream.disconnect()
        self._connection.close()
        # In a child that was forked amid a call grpc would wait for threads that are the parent's.
        if self._owned_channel is not None and is_sound_process():
            self._owned_channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self, request: run_service_pb2.StreamRunRequest | run_service_pb2.AttachRunRequest) -> RunStream:
        return self._remember(RunStream(self._connection, request))

    def _remember(self, stream: AnyStream) -> AnyStream:
        self._streams[id(stream)] = stream
        return stream
