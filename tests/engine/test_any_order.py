"""Starts, answers, cancels, expiries and restarts in any order, against a model small enough to be believed."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.domain.completions import (
    FinishReason,
    ModelChunk,
    ModelFinished,
    ModelRequest,
    TextChunk,
    ToolCallChunk,
)
from letta_grpc.domain.errors import (
    ApprovalAlreadyResolved,
    ApprovalExpired,
    ApprovalPending,
    ConversationBusy,
    EventsExpired,
    InvalidRequest,
    LettaError,
)
from letta_grpc.domain.events import RunFinished
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ApprovalInput, Approve, Decision, Deny, Role, ToolCall
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, Run, RunSpec, RunState
from letta_grpc.ports.stores import RunFilter
from tests.support.engine import DirectedTools, Engine, engine
from tests.support.values import text

# Hypothesis would take a time limit that strikes in the middle for a failure that it cannot repeat.
pytestmark = pytest.mark.timeout(300)

T = TypeVar("T")
K = TypeVar("K")
REJECT, ENQUEUE, INTERRUPT = ConflictPolicy.REJECT, ConflictPolicy.ENQUEUE, ConflictPolicy.INTERRUPT
INTERRUPTED, COMPLETED, CANCELLED = RunState.INTERRUPTED, RunState.COMPLETED, RunState.CANCELLED
QUEUED, RUNNING = RunState.QUEUED, RunState.RUNNING


class Obedient:
    """A model that does what the last user says: `say`, `hang`, or `ask` to run so many guarded calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.broken: list[str] = []

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        self._check(request)
        last = request.messages[-1]
        words = last.text.split() if last.role is Role.USER else ["say"]
        match words:
            case ["hang"]:
                yield [TextChunk("hm")]
                await asyncio.Event().wait()
            case ["ask", number]:
                yield [self._call(index) for index in range(int(number))]
                yield [ModelFinished(FinishReason.TOOL_CALLS)]
            case _:
                yield [TextChunk("done"), ModelFinished(FinishReason.STOP)]

    def _call(self, index: int) -> ToolCallChunk:
        self.calls += 1
        return ToolCallChunk(index, f"call-{self.calls}", "guarded", "{}")

    def _check(self, request: ModelRequest) -> None:
        """Every call has its one return right behind it."""
        for before, after in zip(request.messages, [*request.messages[1:], None], strict=True):
            owed = [call.id for call in before.tool_calls]
            given = [returned.tool_call_id for returned in after.tool_returns] if after else []
            if owed != (given if after and after.role is Role.TOOL else []):
                self.broken.append(f"calls {owed} were followed by returns {given}")


class House:
    """An engine that lives between the steps of a machine, in a task of its own, and can be started anew."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.model = Obedient()
        self.ran: list[str] = []
        self._engine: Engine | None = None
        self._database: MemoryDatabase | None = None
        self._open()

    @property
    def engine(self) -> Engine:
        assert self._engine
        return self._engine

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(10):
                return await work

        return self.loop.run_until_complete(bounded())

    def settle(self) -> None:
        """Let everything happen that can: nothing here waits for anything but turns of the loop."""

        async def turns() -> None:
            for _ in range(400):
                await asyncio.sleep(0)

        self.do(turns())

    def restart(self) -> None:
        clock = self.engine.clock
        self.close()
        clock.advance(31)
        self._open()

    def _open(self) -> None:
        self._leave, self._entered = asyncio.Event(), asyncio.Event()
        self._life = self.loop.create_task(self._live())
        self.do(self._entered.wait())

    async def _live(self) -> None:
        before = self._engine
        async with engine(
            database=before.database if before else None,
            clock=before.clock if before else None,
            agent=before.agent if before else None,
            model=self.model,  # type: ignore[arg-type]  # a model of our own
            tools=DirectedTools({"guarded": self._tool}, guarded={"guarded"}),
        ) as self._engine:
            self._entered.set()
            await self._leave.wait()

    async def _tool(self, call: ToolCall) -> str:
        self.ran.append(call.id)
        return "ran"

    def close(self) -> None:
        self._leave.set()
        self.do(asyncio.wait_for(self._life, 10))


class AnyOrder(RuleBasedStateMachine):
    """One conversation. What is expected of it stands in a few plain fields."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.states: dict[RunId, RunState] = {}
        # Started and not ended: at most one hangs; the others wait their turn, interrupting ones (0) before queued ones (1).
        self.active: RunId | None = None
        self.queue: list[tuple[int, int, RunId, str]] = []
        # The run that waits, all that its calls have interrupted, the calls, and the decisions that there are.
        self.waiting: RunId | None = None
        self.interrupted: set[RunId] = set()
        self.open: list[str] = []
        self.decided: dict[str, Decision] = {}
        # Calls that nobody can decide any more: their decision, or None if the server denied them, and by which run.
        self.settled: dict[str, tuple[Decision | None, RunId | None]] = {}
        # The words that came with the answers which a run has brought.
        self.told: dict[RunId, str] = {}

    # What should happen

    def _enter(self, run_id: RunId, words: str) -> None:
        match words.split():
            case ["hang"]:
                self.active, self.states[run_id] = run_id, RUNNING
            case ["ask", _]:
                self.waiting, self.interrupted, self.states[run_id] = run_id, {run_id}, INTERRUPTED
                self.open = [action.tool_call_id for action in self._get(run_id).pending_actions]
            case _:
                self.states[run_id] = COMPLETED

    def _deny_all(self) -> None:
        """The calls that wait were denied by the server, those already approved too."""
        self.settled |= dict.fromkeys(self.open, (None, None))
        for call_id in self.decided:
            self.settled.setdefault(call_id, (self.decided[call_id], None))
        self.waiting, self.open, self.decided = None, [], {}

    def _work_off(self) -> None:
        while self.queue and self.active is None:
            self.queue.sort()
            if self.waiting:
                if self.queue[0][0]:
                    return
                self._deny_all()
            _, _, run_id, words = self.queue.pop(0)
            self._enter(run_id, words)

    # What is done

    @rule(
        words=st.sampled_from(["say", "hang", "ask 1", "ask 2", "ask 3"]), policy=st.sampled_from([REJECT, ENQUEUE, INTERRUPT])
    )
    def start(self, words: str, policy: ConflictPolicy) -> None:
        spec = RunSpec(messages=(text(words),), conflict_policy=policy, run_timeout=timedelta(days=9999))
        if policy is REJECT and self.waiting:
            self._refused(ApprovalPending, spec)
        elif policy is REJECT and (self.active or self.queue):
            self._refused(ConversationBusy, spec)
        else:
            run = self._started(spec)
            if policy is INTERRUPT and self.active:
                self.states[self.active], self.active = CANCELLED, None
            self.states[run.id] = QUEUED
            self.queue.append((0 if policy is INTERRUPT else 1, len(self.states), run.id, words))
            self._work_off()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        places = data.draw(st.lists(st.integers(0, len(self.open) - 1), min_size=1, unique=True))
        chosen = [self.open[place] for place in places]
        decisions = {call_id: self._decision(data, call_id) for call_id in chosen}
        run = self._started(RunSpec(messages=(ApprovalInput(decisions=tuple(decisions.values())),)))
        assert run.resumes_run_id == self.waiting
        self.decided |= decisions
        self.settled |= {call_id: (decision, run.id) for call_id, decision in decisions.items()}
        self.open = [call_id for call_id in self.open if call_id not in decisions]
        if self.open:
            self.waiting, self.states[run.id] = run.id, INTERRUPTED
            self.interrupted.add(run.id)
            return
        self.waiting, self.decided, self.states[run.id] = None, {}, COMPLETED
        self._work_off()

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        words=st.sampled_from(["say", "hang", "ask 1", "ask 2"]),
        policy=st.sampled_from([REJECT, ENQUEUE, INTERRUPT]),
    )
    def answer_and_speak(self, data: st.DataObject, words: str, policy: ConflictPolicy) -> None:
        decisions = tuple(self._decision(data, call_id) for call_id in self.open)
        if decisions[1:]:
            self._refused(ApprovalPending, self._spoken(decisions[1:], words, policy))
        run = self._started(self._spoken(decisions, words, policy))
        assert run.resumes_run_id == self.waiting
        self.settled |= {decision.tool_call_id: (decision, run.id) for decision in decisions}
        self.waiting, self.open, self.decided = None, [], {}
        self.told[run.id] = words
        self._enter(run.id, words)
        self._work_off()

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), words=st.sampled_from(["", "say", "hang", "ask 1"]))
    def answer_again(self, data: st.DataObject, words: str) -> None:
        call_id = self._pick(data, self.settled)
        earlier, made = self.settled[call_id]
        decision = self._decision(data, call_id)
        spec = self._spoken((decision,), words)
        if earlier is None:
            self._refused(ApprovalExpired, spec)
        elif decision != earlier or (words and (made is None or self.told.get(made) != words)):
            self._refused(ApprovalAlreadyResolved, spec)
        else:
            assert self._started(spec).id == made

    @rule()
    def answer_nothing(self) -> None:
        self._refused(InvalidRequest, RunSpec(messages=(ApprovalInput(decisions=(Approve(tool_call_id="never"),)),)))

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run_id = self._pick(data, self.states)
        self.house.do(self.house.engine.runs.cancel(run_id))
        self.house.settle()
        if run_id == self.active:
            self.active, self.states[run_id] = None, CANCELLED
        elif self.waiting and run_id in self.interrupted:
            self._deny_all()
        elif self.states[run_id] is QUEUED:
            self.queue = [place for place in self.queue if place[2] != run_id]
            self.states[run_id] = CANCELLED
        self._work_off()

    @rule()
    def let_time_pass(self) -> None:
        self.house.engine.clock.advance(2 * 24 * 3600)
        self.house.settle()
        if self.waiting:
            self._deny_all()
        self._work_off()

    @rule()
    def restart(self) -> None:
        self.house.restart()
        self.house.settle()

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def attach(self, data: st.DataObject) -> None:
        run_id = self._pick(data, self.states)
        if not self.states[run_id].is_final:
            return
        try:
            frames = self.house.do(self._frames(run_id, 0))
        except EventsExpired:
            return
        after = data.draw(st.integers(0, len(frames)))
        assert self.house.do(self._frames(run_id, after)) == frames[after:]
        events = [self.house.engine.codec.decode(frame) for frame in frames]
        assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))
        assert [isinstance(event.event, RunFinished) for event in events] == [False] * (len(events) - 1) + [True]

    # What must be so after each of these

    @invariant()
    def is_as_expected(self) -> None:
        self.house.settle()
        assert {run_id: self._get(run_id).state for run_id in self.states} == self.states
        listed = self.house.do(self.house.engine.database.runs.list(PageRequest(), RunFilter(has_pending_actions=True)))
        pending = {run.id: [action.tool_call_id for action in run.pending_actions] for run in listed.items}
        assert pending == ({self.waiting: self.open} if self.waiting else {})
        assert self.house.model.broken == []
        for run_id, words in self.told.items():
            stored = self.house.do(self.house.engine.database.history.of_run(run_id))
            said = [(place, message.text) for place, message in enumerate(stored) if message.role is Role.USER]
            assert (said, stored[1].role) == ([(2, words)], Role.TOOL)
        assert len(set(self.house.ran)) == len(self.house.ran)
        assert set(self.house.ran) <= {id_ for id_, (decision, _) in self.settled.items() if isinstance(decision, Approve)}

    def teardown(self) -> None:
        self.house.close()
        self.house.loop.close()

    @staticmethod
    def _pick(data: st.DataObject, things: Iterable[K]) -> K:
        # By place: ids are drawn anew in each repetition.
        known = list(things)
        return known[data.draw(st.integers(0, len(known) - 1))]

    def _decision(self, data: st.DataObject, call_id: str) -> Decision:
        if data.draw(st.booleans()):
            return Approve(tool_call_id=call_id, arguments=data.draw(st.sampled_from([None, '{"edited": true}'])))
        return Deny(tool_call_id=call_id, reason=data.draw(st.sampled_from(["", "no"])))

    @staticmethod
    def _spoken(decisions: tuple[Decision, ...], words: str, policy: ConflictPolicy = REJECT) -> RunSpec:
        """Answers, with words behind them if there are any."""
        spoken = (text(words),) if words else ()
        messages = (ApprovalInput(decisions=decisions), *spoken)
        return RunSpec(messages=messages, conflict_policy=policy, run_timeout=timedelta(days=9999))

    def _started(self, spec: RunSpec) -> Run:
        run = self.house.do(self.house.engine.begin(spec))
        self.house.settle()
        return run

    def _refused(self, error: type[LettaError], spec: RunSpec) -> None:
        try:
            self.house.do(self.house.engine.begin(spec))
        except error:
            return
        raise AssertionError(f"{error.__name__} was expected")

    def _get(self, run_id: RunId) -> Run:
        return self.house.do(self.house.engine.runs.get(run_id))

    async def _frames(self, run_id: RunId, after: int) -> list[bytes]:
        return [
            frame async for page in self.house.engine.runs.follow(run_id, after, None) for frame in split_frames(page.frames)
        ]


AnyOrder.TestCase.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyOrder = AnyOrder.TestCase
