"""Models that refuse, talk nonsense or stop half-way: what the run says, and what is kept.

The models are those of `tests/support/upstream.py`. All of them are asked at once, since most are asked three times.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio

from letta_grpc.settings import Provider
from letta_grpc.v1 import messages_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Wire, provider_of, run_of, said, talk
from tests.support.upstream import Upstream
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

TOO_LONG = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
FAILURES = {
    # model: reason, message, status, what the model had said
    "status-400": ("MODEL_BAD_REQUEST", "up refused the request (400): refused with 400", "400", ""),
    "status-401": ("MODEL_AUTH_FAILED", "up refused the API key (401): set LETTA_GRPC_PROVIDERS__UP__API_KEY", "401", ""),
    "bad-key": ("MODEL_AUTH_FAILED", "up refused the API key (401): set LETTA_GRPC_PROVIDERS__UP__API_KEY", "401", ""),
    "gone": ("MODEL_BAD_REQUEST", "up does not know the model gone (404): The model `gone` does not exist", "404", ""),
    "status-429": ("MODEL_RATE_LIMITED", "up limits the rate (429): refused with 429", "429", ""),
    "quota": ("INSUFFICIENT_CREDITS", "the account at up has no credit (429): You exceeded your current quota", "429", ""),
    "context-length": (
        "CONTEXT_WINDOW_EXCEEDED",
        f"the context does not fit context-length at up (400): {TOO_LONG}",
        "400",
        "",
    ),
    "status-500": ("MODEL_OVERLOADED", "up is overloaded or failing (500): refused with 500", "500", ""),
    "status-504": ("MODEL_TIMEOUT", "up reports a timeout (504): refused with 504", "504", ""),
    "error-in-stream": ("MODEL_OVERLOADED", "up is overloaded or failing (502): upstream broke", "502", "w0 "),
    "garbage": ("INVALID_MODEL_OUTPUT", "up sent a web page instead of an answer: is its base URL right?", None, ""),
    "garbage-chunk": ("INVALID_MODEL_OUTPUT", "up sent a chunk that is not JSON", None, "w0 "),
    "no-http": ("INVALID_MODEL_OUTPUT", "up sent no HTTP", None, ""),
    "empty": ("INVALID_MODEL_OUTPUT", "up ended the answer in the middle", None, ""),
    "cut-first": ("MODEL_OVERLOADED", "up closed the connection without an answer", None, ""),
    "cut-token": ("INVALID_MODEL_OUTPUT", "up ended the answer in the middle", None, "w0 w1 "),
    "cut-clean": ("INVALID_MODEL_OUTPUT", "up ended the answer in the middle", None, "w0 w1 "),
    "cut-tool-call": ("INVALID_MODEL_OUTPUT", "up ended the answer in the middle", None, ""),
}
STOPPED_BY = {
    "INSUFFICIENT_CREDITS": runs_pb2.STOP_REASON_INSUFFICIENT_CREDITS,
    "CONTEXT_WINDOW_EXCEEDED": runs_pb2.STOP_REASON_CONTEXT_OVERFLOW,
    "INVALID_MODEL_OUTPUT": runs_pb2.STOP_REASON_INVALID_MODEL_OUTPUT,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and what the conversation had then. It has gone on since."""

    run: runs_pb2.Run
    kept: list[tuple[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(wire: Wire) -> Mapping[str, Outcome]:
    """Ask each model; show that its conversation goes on with another one."""
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asked = {model: group.create_task(_outcome(wire, model)) for model in FAILURES}
    return {model: task.result() for model, task in asked.items()}


async def _outcome(wire: Wire, model: str) -> Outcome:
    one = await talk(wire, f"up/{model}", ["memory_insert"])
    outcome = Outcome(run_of(await one.ask("hi")), said(await one.history()))
    await one.goes_on()
    return outcome


@pytest.mark.parametrize("model", FAILURES)
@requirement("model_failure")
async def test_a_model_that_fails_fails_the_run_and_says_why(outcomes: Mapping[str, Outcome], model: str) -> None:
    reason, message, status, _ = FAILURES[model]
    run = outcomes[model].run
    assert run.state == runs_pb2.RUN_STATE_FAILED
    assert (run.error.reason, run.error.message) == (reason, message)
    assert dict(run.error.metadata) == {"provider": "up", "model": model} | ({"status": status} if status else {})
    assert run.stop_reason == STOPPED_BY.get(reason, runs_pb2.STOP_REASON_MODEL_ERROR)


@pytest.mark.parametrize("model", FAILURES)
@requirement("model_failure_keeps", "weakness_lost_words")
async def test_what_was_asked_and_what_the_model_had_said_is_kept(outcomes: Mapping[str, Outcome], model: str) -> None:
    words = FAILURES[model][3]
    assert outcomes[model].kept == [("USER", "hi"), *([("ASSISTANT", words)] if words else [])]


async def test_an_answer_without_a_word_ends_the_turn(wire: Wire) -> None:
    one = await talk(wire, "up/nothing")
    run = run_of(await one.ask("hi"))
    assert (run.state, run.stop_reason) == (runs_pb2.RUN_STATE_COMPLETED, runs_pb2.STOP_REASON_END_TURN)
    assert said(await one.history()) == [("USER", "hi")]
    await one.goes_on()


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("bad-arguments-memory_insert", "Error: The arguments are not valid JSON"),
        ("tool-memory_insert", "Error: 'label' is missing; 'text' is missing."),
        ("tool-nobody", "Error: there is no tool 'nobody'. The tools are: memory_insert."),
    ],
)
@requirement("tool_arguments", "complaint_16_broken_arguments")
async def test_a_tool_call_that_cannot_be_carried_out_is_answered_and_the_run_goes_on(
    wire: Wire, upstream: Upstream, model: str, complaint: str
) -> None:
    one = await talk(wire, f"up/{model}", ["memory_insert"])
    await upstream.reset()
    run = run_of(await one.ask("hi"))
    assert (run.state, run.usage.step_count) == (runs_pb2.RUN_STATE_COMPLETED, 2)
    _, call, returned, answer = await one.history()
    assert returned.tool_returns[0].tool_call_id == call.tool_calls[0].id
    assert returned.tool_returns[0].status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert returned.tool_returns[0].text.startswith(complaint)
    assert said([answer]) == [("ASSISTANT", "Done.")]
    # The model was told; and whatever it had written, its own words came back to it as a JSON object.
    told = (await upstream.state()).requests[-1]["body"]["messages"]
    assert complaint.partition("(")[0] in told[-1]["content"]
    assert told[-2]["tool_calls"][0]["function"]["arguments"].startswith("{")
    await one.goes_on()


@requirement("model_failure", "model_failure_keeps")
async def test_a_provider_without_its_key_is_told_which_variable_to_set(connect: Connect, upstream: Upstream) -> None:
    """One that wants a key as everybody knows is not even asked; another one is, and says so."""
    providers = provider_of(upstream, key=None) | {"openai": Provider(base_url="https://api.openai.com/v1")}
    async with connect(providers=providers) as wire:
        one = await talk(wire)
        unasked = run_of(await one.ask("hi", model="openai/gpt")).error
        asked = run_of(await one.ask("ho", model="up/status-401")).error
        assert (unasked.reason, asked.reason) == ("MODEL_AUTH_FAILED", "MODEL_AUTH_FAILED")
        assert unasked.message == "no API key for openai is configured: set OPENAI_API_KEY"
        assert asked.message == "up wants an API key (401): set LETTA_GRPC_PROVIDERS__UP__API_KEY"
        assert said(await one.history()) == [("USER", "hi"), ("USER", "ho")]
        await one.goes_on()


@requirement("model_failure")
async def test_a_provider_that_is_not_there_is_told_as_such(connect: Connect) -> None:
    """Port 1 of this machine takes no connection."""
    async with connect(providers={"gone": Provider(base_url="http://127.0.0.1:1/v1")}) as wire:
        one = await talk(wire, "gone/m")
        error = run_of(await one.ask("hi")).error
        assert (error.reason, error.message) == ("MODEL_OVERLOADED", "gone cannot be reached: connection refused")
        await one.goes_on()


@requirement("model_failure_keeps")
async def test_the_partial_text_is_the_same_in_stream_history_and_log(wire: Wire) -> None:
    one = await talk(wire, "up/cut-token")
    events = await one.ask("hi")
    streamed = "".join(event.text_delta.text for event in events)
    (completed,) = (event.message_completed.message for event in events if event.WhichOneof("payload") == "message_completed")
    assert streamed == "w0 w1 "
    assert (await one.history())[-1] == completed
    assert said([completed]) == [("ASSISTANT", streamed)]
