"""What `claim` promises to answers of calls that wait."""
# ruff: noqa: S101, PLR2004 - assert and expected numbers are what a contract is made of

import asyncio

import pytest

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.errors import (
    ApprovalAlreadyResolved,
    ApprovalPending,
    CancelRequested,
    InvalidRequest,
    LettaError,
    ResourceInUse,
)
from letta_grpc.domain.events import ApprovalRequested, RunFinished, RunStarted, ToolExecutionStarted
from letta_grpc.domain.messages import Approve, Deny, Role, SpokenInput, TextPart
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState, StopReason
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Claim, Leases
from letta_grpc.ports.stores import RunFilter
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.journals.asking import (
    approve,
    ask,
    decide,
    deny,
    give,
    messages_of,
    pending_of,
    send,
    waiting,
)
from letta_grpc.testing.journals.scenes import LEASE_TIME, events_of, kinds_of
from letta_grpc.testing.stores.world import World, held

_ALL = PageRequest(size=1000)
_WORDS = SpokenInput(role=Role.USER, content=(TextPart("And be quick."),))
_TOOL = ToolDefinition(name="send", description="", parameters="{}")


class AnswerContract:
    """What `claim` promises to answers of calls that wait."""

    async def test_a_run_that_waits_shows_its_calls(self, world: World, codec: EventCodec) -> None:
        """In itself and in its last event."""
        asked = await waiting(world, "a", "client_b")
        assert await pending_of(world, asked.id) == ["a", "client_b"]
        last = (await events_of(world.log, codec, asked.id))[-1].event
        assert isinstance(last, RunFinished)
        assert last.run.pending_actions == asked.pending_actions
        stored = await world.runs.get(asked.id)
        assert (stored.state, stored.stop_reason) == (RunState.INTERRUPTED, StopReason.REQUIRES_APPROVAL)
        assert stored.pending_actions == asked.pending_actions

    async def test_an_answer_to_all_calls_is_a_run_that_settles_them(self, world: World, codec: EventCodec) -> None:
        """It has a lease and the answers; the run that waited waits no longer. Its first step comes later."""
        asked = await waiting(world, "a", "b", "client_c")
        decisions = decide(Approve(tool_call_id="a"), Deny(tool_call_id="b", reason="no"))
        claim = await send(world, asked, decisions, give("client_c"))
        assert (claim.created, claim.first_step_id, claim.last_sequence_number) == (True, None, 1)
        assert (held(claim).run_id, claim.run.state, claim.run.resumes_run_id) == (claim.run.id, RunState.RUNNING, asked.id)
        assert claim.batch is not None
        assert (claim.batch.run_id, claim.batch.actions, claim.batch.pending) == (asked.id, asked.pending_actions, ())
        given = [claim.batch.given_return(call_id) for call_id in ("a", "b", "client_c")]
        assert [r and r.text for r in given] == [None, "Error: request to call tool denied. User reason: no", "done"]
        assert [numbered.event for numbered in await events_of(world.log, codec, claim.run.id)] == [RunStarted(claim.run)]
        assert await pending_of(world, asked.id) == await pending_of(world, claim.run.id) == []

    async def test_answers_are_messages_of_the_conversation(self, world: World) -> None:
        """Of the role of approvals, with the decisions and the returns."""
        asked = await waiting(world, "a", "client_b")
        claim = await send(world, asked, approve("a"), give("client_b", "three"))
        decided, returned = await world.history.of_run(claim.run.id)
        assert (decided.id, returned.id) == claim.run.input_message_ids
        assert {decided.role, returned.role} == {Role.APPROVAL}
        assert decided.decisions == (Approve(tool_call_id="a"),)
        assert [(r.tool_call_id, r.text) for r in returned.tool_returns] == [("client_b", "three")]
        assert claim.context is not None
        assert claim.context.messages == await messages_of(world, asked)

    async def test_edited_arguments_are_what_the_call_runs_with(self, world: World) -> None:
        """The others run as the model asked."""
        asked = await waiting(world, "a", "b")
        claim = await send(world, asked, decide(Approve(tool_call_id="b", arguments="{}"), Approve(tool_call_id="a")))
        assert claim.batch is not None
        assert [(call.id, call.arguments) for call in claim.batch.calls()] == [("a", '{"to": "ada"}'), ("b", "{}")]

    async def test_an_answer_goes_on_as_the_run_that_waits_was_to_go(self, world: World) -> None:
        """Also after a partial answer; what it says itself counts more."""
        said = {"model": "m/other", "system": "Be brief.", "response_format": "{}", "client_tools": (_TOOL,)}
        asked = await waiting(world, "a", "b", **said)
        await send(world, asked, approve("a"), system="Be long.")
        claim = await send(world, asked, approve("b"), max_steps=3)
        assert claim.run.model == "m/other"
        assert (claim.spec.model, claim.spec.system, claim.spec.max_steps) == ("m/other", "Be long.", 3)
        assert (claim.spec.response_format, claim.spec.client_tools) == ("{}", (_TOOL,))

    async def test_an_answer_to_some_calls_ends_at_once_and_waits_for_the_rest(self, world: World, codec: EventCodec) -> None:
        """In the place of the run that waited."""
        asked = await waiting(world, "a", "b", "client_c")
        claim = await send(world, asked, approve("b"))
        run = await world.runs.get(claim.run.id)
        assert (claim.created, claim.lease, claim.batch, claim.last_sequence_number) == (True, None, None, 3)
        assert (run.state, run.stop_reason) == (RunState.INTERRUPTED, StopReason.REQUIRES_APPROVAL)
        assert (run.resumes_run_id, run.last_sequence_number) == (asked.id, 3)
        rest = tuple(action for action in asked.pending_actions if action.tool_call_id != "b")
        started, request, finished = (numbered.event for numbered in await events_of(world.log, codec, run.id))
        assert isinstance(started, RunStarted)
        assert started.run.state is RunState.RUNNING
        assert request == ApprovalRequested(rest)
        assert isinstance(finished, RunFinished)
        assert finished.run.pending_actions == run.pending_actions == rest
        assert (await world.log.read(run.id, 3, 1)).ended
        assert await pending_of(world, asked.id) == []
        assert len(await world.history.of_run(run.id)) == 1

    async def test_the_last_answer_brings_all_of_them(self, world: World) -> None:
        """Whichever run each came with. Where only the client's tools are left, the reason says so."""
        asked = await waiting(world, "a", "b", "client_c")
        first = await send(world, asked, approve("b"))
        second = await send(world, asked, deny("a"))
        assert (await world.runs.get(second.run.id)).stop_reason is StopReason.REQUIRES_CLIENT_TOOL
        assert second.run.resumes_run_id == first.run.id
        third = await send(world, asked, give("client_c"))
        assert third.run.resumes_run_id == second.run.id
        assert third.batch is not None
        assert third.batch.answers.keys() == {"a", "b", "client_c"}
        assert await pending_of(world, second.run.id) == []

    async def test_the_same_answer_again_is_the_run_that_it_made(self, world: World) -> None:
        """Under another request id, and also when that run has ended."""
        asked = await waiting(world, "a", "b")
        first = await send(world, asked, approve("a"))
        before = await messages_of(world, asked)
        again = await send(world, asked, approve("a"))
        assert (again.run.id, again.created, again.lease) == (first.run.id, False, None)
        assert await messages_of(world, asked) == before
        second = await send(world, asked, deny("b"))
        assert (await send(world, asked, deny("b"))).run.id == second.run.id
        await world.finish(second)
        assert (await send(world, asked, approve("a"))).run.id == first.run.id
        both = await send(world, asked, decide(Approve(tool_call_id="a"), Deny(tool_call_id="b")))
        assert (both.run.id, both.run.state) == (second.run.id, RunState.COMPLETED)

    async def test_another_answer_to_a_call_that_had_one_is_refused(self, world: World) -> None:
        """It is named, with the run that had brought the answer; nothing of the start is stored."""
        asked = await waiting(world, "a", "b")
        first = await send(world, asked, approve("a"))
        before = await messages_of(world, asked)
        for answer in (deny("a"), approve("a", "{}"), decide(Deny(tool_call_id="a"), Approve(tool_call_id="b"))):
            with pytest.raises(ApprovalAlreadyResolved) as caught:
                await send(world, asked, answer)
            assert caught.value.metadata == {"tool_call_id": "a", "run_id": first.run.id}
        assert await messages_of(world, asked) == before
        assert await pending_of(world, first.run.id) == ["b"]

    async def test_words_behind_answers_do_not_enter_with_them(self, world: World) -> None:
        """They come once the calls have their returns; their ids stand behind those of the answers."""
        asked = await waiting(world, "a", "b")
        claim = await send(world, asked, decide(Approve(tool_call_id="a"), Deny(tool_call_id="b")), _WORDS)
        assert len(claim.run.input_message_ids) == 2
        (answer,) = await world.history.of_run(claim.run.id)
        assert (answer.id, answer.role) == (claim.run.input_message_ids[0], Role.APPROVAL)
        assert claim.spec.messages[-1] == _WORDS

    async def test_words_wait_for_the_last_answer(self, world: World) -> None:
        """Nothing is stored of what comes too early."""
        asked = await waiting(world, "a", "b")
        with pytest.raises(ApprovalPending) as caught:
            await send(world, asked, approve("a"), _WORDS)
        assert caught.value.metadata == {"run_id": asked.id, "tool_call_ids": "b"}
        first = await send(world, asked, approve("a"))
        with pytest.raises(ApprovalAlreadyResolved) as refused:
            await send(world, asked, decide(Approve(tool_call_id="a"), Approve(tool_call_id="b")), _WORDS)
        assert refused.value.metadata == {"tool_call_id": "a", "run_id": first.run.id}
        assert await pending_of(world, first.run.id) == ["b"]
        assert (await send(world, asked, approve("b"), _WORDS)).lease is not None

    async def test_the_same_answer_with_the_same_words_is_the_run_that_they_made(self, world: World) -> None:
        """With others, or with words that it had not, it is refused: nobody would hear them."""
        asked, plain = await waiting(world, "a"), await waiting(world, "a")
        first = await send(world, asked, approve("a"), _WORDS)
        assert (await send(world, asked, approve("a"), _WORDS)).run.id == first.run.id
        assert (await send(world, asked, approve("a"))).run.id == first.run.id
        second = await send(world, plain, approve("a"))
        others = SpokenInput(role=Role.USER, content=(TextPart("Or not."),))
        for like, words, run_id in ((asked, others, first.run.id), (plain, _WORDS, second.run.id)):
            with pytest.raises(ApprovalAlreadyResolved) as caught:
                await send(world, like, approve("a"), words)
            assert caught.value.metadata == {"tool_call_id": "a", "run_id": run_id}

    async def test_answers_to_calls_that_do_not_wait_are_refused(self, world: World) -> None:
        """Those of another conversation too, or of none."""
        asked, other = await waiting(world, "a"), await waiting(world, "b")
        for call_id in ("unknown", "b"):
            with pytest.raises(InvalidRequest, match="open are: a"):
                await send(world, asked, approve(call_id))
        idle = await world.turn(await world.default(await world.agent()), "hi", "hello")
        with pytest.raises(InvalidRequest, match="open are: none"):
            await send(world, idle, approve("a"))
        with pytest.raises(InvalidRequest):
            await send(world, asked, give("a"))
        assert (await pending_of(world, asked.id), await pending_of(world, other.id)) == (["a"], ["b"])

    async def test_of_answers_that_race_one_settles_the_call(self, world: World) -> None:
        """Those that say the same find its run, the others are refused."""
        asked = await waiting(world, "a")
        answers = [approve("a"), deny("a")] * 5
        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(*(send(world, asked, answer) for answer in answers), return_exceptions=True)
        claims = [outcome for outcome in outcomes if isinstance(outcome, Claim)]
        assert len([claim for claim in claims if claim.lease]) == 1
        assert len({claim.run.id for claim in claims}) == 1
        assert len(claims) == 5
        assert len([outcome for outcome in outcomes if isinstance(outcome, ApprovalAlreadyResolved)]) == 5

    async def test_a_settled_run_may_ask_again(self, world: World) -> None:
        """Then its calls wait, under whatever ids."""
        asked = await waiting(world, "a")
        claim = await send(world, asked, approve("a"))
        again = await ask(world, claim, "b", "a")
        settled = await send(world, again, decide(Deny(tool_call_id="a"), Deny(tool_call_id="b")))
        assert settled.batch is not None
        assert (settled.batch.run_id, settled.batch.actions) == (again.id, again.pending_actions)
        assert set(settled.batch.answers.values()) == {Deny(tool_call_id="a"), Deny(tool_call_id="b")}

    async def test_who_takes_an_answer_over_gets_its_calls_again(self, world: World, leases: Leases, clock: FakeClock) -> None:
        """With all answers, and what the run that waited said of it."""
        asked = await waiting(world, "a", "b", system="Be brief.")
        await send(world, asked, approve("a", "{}"))
        claim = await send(world, asked, deny("b"))
        (taken,) = await leases.take_over(clock.now() + LEASE_TIME)
        assert (taken.run.id, taken.run.attempt, taken.run.resumes_run_id) == (claim.run.id, 2, claim.run.resumes_run_id)
        assert (taken.batch, taken.spec) == (claim.batch, claim.spec)
        assert taken.spec.system == "Be brief."

    async def test_no_tool_starts_in_an_answer_that_is_being_cancelled(self, world: World, codec: EventCodec) -> None:
        """As in any other run."""
        claim = await send(world, await waiting(world, "a"), approve("a"))
        await world.journal.request_cancel(claim.run.id)
        with pytest.raises(CancelRequested):
            await world.journal.append(held(claim), [ToolExecutionStarted("a")])
        assert await kinds_of(world.log, codec, claim.run.id) == ["RunStarted"]

    async def test_runs_are_found_by_what_they_wait_for(self, world: World) -> None:
        """The newest run carries the calls."""
        asked = await waiting(world, "a", "b")
        assert await _waiting_ids(world, waits=True) == [asked.id]
        partial = await send(world, asked, approve("a"))
        assert await _waiting_ids(world, waits=True) == [partial.run.id]
        settled = await send(world, asked, approve("b"))
        assert await _waiting_ids(world, waits=True) == []
        assert await _waiting_ids(world, waits=False) == [asked.id, partial.run.id, settled.run.id]

    async def test_what_waits_does_not_keep_a_conversation_from_being_deleted(self, world: World) -> None:
        """Nor its agent. A run at work does."""
        agent = await world.agent()
        thread = await world.conversation(agent)
        asked = await ask(world, await world.start(thread, "hi"), "a")
        await ask(world, await world.start(await world.default(agent), "hi"), "b")
        await world.conversations.delete(thread.id)
        with pytest.raises(LettaError):
            await world.runs.get(asked.id)
        await world.agents.delete(agent.id)
        asked = await waiting(world, "a")
        await send(world, asked, approve("a"))
        with pytest.raises(ResourceInUse):
            await world.agents.delete(asked.agent_id)


async def _waiting_ids(world: World, *, waits: bool) -> list[str]:
    return [run.id for run in (await world.runs.list(_ALL, RunFilter(has_pending_actions=waits))).items]
