from letta_grpc.domain.completions import (
    HiddenReasoningChunk,
    ModelChunk,
    ReasoningChunk,
    ReasoningSealChunk,
    ReasoningSummaryChunk,
    TextChunk,
)
from letta_grpc.domain.events import MessageCompleted, MessageStarted, ReasoningDelta, RunEvent
from letta_grpc.domain.messages import (
    ContentPart,
    OmittedReasoningPart,
    ReasoningPart,
    RedactedReasoningPart,
    SummarizedReasoningPart,
    TextPart,
)
from tests.support.engine import DONE, engine, of, say


async def answered(*chunks: ModelChunk) -> tuple[tuple[ContentPart, ...], list[RunEvent]]:
    """Return what is stored of an answer that comes as these chunks, and the events of its run."""
    async with engine() as house:
        events = await house.play([[chunk] for chunk in (*chunks, DONE)])
        (completed,) = of(MessageCompleted, events)
        return completed.message.content, events


async def test_all_that_a_provider_tells_of_reasoning_is_kept_as_what_it_is() -> None:
    content, events = await answered(
        ReasoningChunk("Let me "),
        ReasoningChunk("think."),
        ReasoningSealChunk("proof"),
        ReasoningChunk("More."),
        ReasoningSummaryChunk("I thought "),
        ReasoningSummaryChunk("twice."),
        HiddenReasoningChunk("cipher"),
        HiddenReasoningChunk(None),
        TextChunk("Yes."),
    )
    assert content == (
        ReasoningPart("Let me think.", "proof"),
        ReasoningPart("More."),
        SummarizedReasoningPart("I thought twice."),
        RedactedReasoningPart("cipher"),
        OmittedReasoningPart(),
        TextPart("Yes."),
    )
    shown = "".join(delta.text for delta in of(ReasoningDelta, events))
    assert shown == "Let me think.More.I thought twice."


async def test_signatures_and_hidden_reasoning_are_told_where_they_come() -> None:
    _, events = await answered(
        ReasoningChunk("Hm."),
        ReasoningSealChunk("proof"),
        HiddenReasoningChunk("cipher"),
        HiddenReasoningChunk(None),
        TextChunk("Yes."),
    )
    told = [(delta.text, delta.signature, delta.hidden) for delta in of(ReasoningDelta, events)]
    assert told == [
        ("Hm.", "", None),
        ("", "proof", None),
        ("", "", RedactedReasoningPart("cipher")),
        ("", "", OmittedReasoningPart()),
    ]


async def test_a_message_of_hidden_reasoning_alone_is_started_before_it_is_completed() -> None:
    content, events = await answered(HiddenReasoningChunk("cipher"))
    assert content == (RedactedReasoningPart("cipher"),)
    assert len(of(MessageStarted, events)) == 1


async def test_a_proof_without_words_before_it_is_kept() -> None:
    content, _ = await answered(ReasoningSealChunk("proof"), ReasoningSealChunk("another"), TextChunk("Yes."))
    assert content == (ReasoningPart("", "proof"), ReasoningPart("", "another"), TextPart("Yes."))


async def test_the_model_is_shown_what_is_proved_of_its_reasoning_and_nothing_else_of_it() -> None:
    async with engine() as house:
        await house.play([[ReasoningChunk("a"), ReasoningSealChunk("s"), ReasoningChunk("b"), TextChunk("Yes."), DONE]])
        await house.play(say("ok"))
        said = house.model.asked[1].messages[1]
        assert said.content == (ReasoningPart("a", "s"), TextPart("Yes."))
        assert said.model == "test/model"


async def test_of_an_answer_without_end_no_cut_proof_is_kept() -> None:
    content, _ = await answered(
        ReasoningChunk("a"), ReasoningSealChunk("s" * 10), HiddenReasoningChunk("x" * 500_000), TextChunk("never")
    )
    assert content == (ReasoningPart("a"),)
