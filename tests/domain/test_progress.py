from letta_grpc.domain.events import (
    MessageCompleted,
    MessageStarted,
    ReasoningDelta,
    RunEvent,
    RunFinished,
    RunStarted,
    StepCompleted,
    StepRestarted,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStarted,
    ToolReturned,
)
from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.messages import Role
from letta_grpc.domain.progress import Progress
from letta_grpc.domain.transitions import Phase
from letta_grpc.domain.usage import Timing, Usage
from tests.support.values import STEP_ID, assistant, returned, run, tool_message

MESSAGE_ID = MessageId("message-a")


def folded(*events: RunEvent) -> Progress:
    progress = Progress()
    for time_ns, event in enumerate(events, start=1):
        progress.apply(event, time_ns)
    return progress


STARTED = (RunStarted(run()), StepStarted(STEP_ID, 0, "scripted/echo"))


def test_a_step_under_way_is_known_by_id_index_and_open_message() -> None:
    progress = folded(*STARTED, MessageStarted(MESSAGE_ID, STEP_ID, Role.ASSISTANT), TextDelta(MESSAGE_ID, 0, "he"))
    assert (progress.phase, progress.step_id, progress.step_index) == (Phase.ASKING_MODEL, STEP_ID, 0)
    assert progress.open_message_ids == [MESSAGE_ID]
    assert (progress.first_token_ns, progress.last_token_ns) == (4, 4)


def test_every_kind_of_token_counts_as_one() -> None:
    for token in (
        TextDelta(MESSAGE_ID, 0, "x"),
        ReasoningDelta(MESSAGE_ID, "x"),
        ToolCallDelta(MESSAGE_ID, 0, "c", "t", "{}"),
    ):
        progress = folded(*STARTED, token, token)
        assert (progress.first_token_ns, progress.last_token_ns, progress.step_first_token_ns) == (3, 4, 3)
        assert progress.attempts_without_progress == 0


def test_calls_are_open_until_they_return() -> None:
    progress = folded(*STARTED, MessageCompleted(assistant("a", "call-1", "call-2")), ToolExecutionStarted("call-1"))
    assert [call.id for call in progress.open_calls] == ["call-1", "call-2"]
    progress.apply(ToolReturned(returned("call-1")), 9)
    assert [call.id for call in progress.open_calls] == ["call-2"]


def test_without_an_answer_no_call_is_open() -> None:
    assert folded(*STARTED).open_calls == ()


def test_a_completed_message_is_no_longer_open() -> None:
    progress = folded(
        *STARTED, MessageStarted(MESSAGE_ID, STEP_ID, Role.ASSISTANT), MessageCompleted(assistant("a", words="hello"))
    )
    assert progress.open_message_ids == []
    assert progress.step_message_ids == [MESSAGE_ID]


def test_usage_adds_up_over_steps_and_context_is_the_last() -> None:
    first = StepCompleted(STEP_ID, Usage(prompt_tokens=3, context_tokens=5, step_count=1), Timing())
    second = StepCompleted(STEP_ID, Usage(prompt_tokens=4, context_tokens=7, step_count=1), Timing())
    progress = folded(*STARTED, first, StepStarted(STEP_ID, 1, "m"), second)
    assert progress.usage == Usage(prompt_tokens=7, context_tokens=7, step_count=2)


def test_what_a_step_has_cost_is_known_from_its_answer_until_its_end() -> None:
    spent = Usage(completion_tokens=2)
    progress = folded(*STARTED, MessageCompleted(assistant("a", "call-1"), spent), ToolReturned(returned("call-1")))
    progress.apply(MessageCompleted(tool_message("call-1")), 9)
    assert (progress.step_usage, progress.usage) == (spent, Usage())
    progress.apply(StepCompleted(STEP_ID, spent, Timing()), 9)
    assert (progress.step_usage, progress.usage) == (None, spent)


def test_a_restart_voids_what_was_open_and_keeps_the_step() -> None:
    progress = folded(*STARTED, MessageStarted(MESSAGE_ID, STEP_ID, Role.ASSISTANT), StepRestarted(STEP_ID, 2, (MESSAGE_ID,)))
    assert (progress.phase, progress.open_message_ids) == (Phase.BETWEEN_STEPS, [])
    assert progress.step_id == STEP_ID


def test_attempts_are_counted_until_the_model_says_something() -> None:
    again = (StepRestarted(STEP_ID, 2, ()), StepStarted(STEP_ID, 0, "m"))
    assert folded(*STARTED).attempts_without_progress == 1
    assert folded(*STARTED, *again, *again).attempts_without_progress == 3
    assert folded(*STARTED, *again, TextDelta(MESSAGE_ID, 0, "x")).attempts_without_progress == 0
    assert folded(*STARTED, TextDelta(MESSAGE_ID, 0, "x"), *again).attempts_without_progress == 1


def test_attempts_at_a_tool_are_counted_until_it_returns() -> None:
    answered = (*STARTED, MessageCompleted(assistant("a", "call-1")))
    assert folded(*answered).attempts_without_progress == 0
    begun = folded(*answered, ToolExecutionStarted("call-1"), ToolExecutionStarted("call-1"))
    assert begun.attempts_without_progress == 2
    begun.apply(ToolReturned(returned("call-1")), 9)
    assert begun.attempts_without_progress == 0


def test_attempts_that_left_no_event_count_in_every_phase() -> None:
    answer = MessageCompleted(assistant("a", "call-1"))
    for events in ((), STARTED, (*STARTED, answer), (*STARTED, answer, ToolExecutionStarted("call-1"))):
        progress = folded(*events)
        counted = progress.attempts_without_progress
        progress.idle_attempts = 2
        assert progress.attempts_without_progress == counted + 2


def test_the_tool_message_does_not_replace_the_answer() -> None:
    progress = folded(*STARTED, MessageCompleted(assistant("a", "call-1")), MessageCompleted(tool_message("b", "call-1")))
    assert progress.assistant == assistant("a", "call-1")


def test_the_end_is_the_end() -> None:
    assert folded(RunStarted(run()), RunFinished(run())).phase is Phase.ENDED
