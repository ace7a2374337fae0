"""Cases in which the program does more than read."""

from letta_grpc.conformance.cases import Beats, Call, Case, Failure, Printed, Refusal, Seen, Send, UntilCancelled
from letta_grpc.conformance.logs import finished, interrupted, said
from letta_grpc.conformance.streams import LOG, sends
from letta_grpc.v1 import runs_pb2

# Longer than any program waits.
_FOR_LONG = Beats(4, 240)
_CANCELLED = said(["Hel"], finished(runs_pb2.RUN_STATE_CANCELLED, runs_pb2.STOP_REASON_CANCELLED))


def _action(call_id: str, name: str, arguments: str, kind: "runs_pb2.ActionKind.ValueType") -> runs_pb2.PendingAction:
    return runs_pb2.PendingAction(tool_call_id=call_id, name=name, arguments=arguments, kind=kind, message_id="message-1")


_SENDING = _action("call-1", "send_letter", '{"to": "Ada"}', runs_pb2.ACTION_KIND_APPROVAL)
_BURNING = _action("call-2", "burn_letter", "{}", runs_pb2.ACTION_KIND_APPROVAL)
_WEATHER = _action("call-3", "weather", '{"city": "Rome"}', runs_pb2.ACTION_KIND_CLIENT_TOOL)
_ANSWER = said(["Done."])
_ANSWERED = Printed(events=range(1, len(_ANSWER) + 1), text="Done.", state="COMPLETED")

_ENDINGS = (
    Case(
        name="cancel",
        about="At the first text the program cancels the run and reads on to its end.",
        action="cancel",
        calls=[Call(deeds=[*sends(_CANCELLED[:4]), UntilCancelled(), *sends(_CANCELLED[4:])])],
        printed=Printed(events=range(1, len(_CANCELLED) + 1), text="Hel", state="CANCELLED"),
        seen=Seen(cancels=1),
        log=_CANCELLED,
    ),
    Case(
        name="cancel_across_a_cut",
        about="As before, and the link breaks while the run ends.",
        action="cancel",
        calls=[
            Call(deeds=[*sends(_CANCELLED[:4]), UntilCancelled()], end=Refusal()),
            Call(deeds=sends(_CANCELLED[4:])),
        ],
        printed=Printed(events=range(1, len(_CANCELLED) + 1), text="Hel", state="CANCELLED"),
        seen=Seen(cancels=1, attached_after=[4]),
        log=_CANCELLED,
    ),
    Case(
        name="close",
        about="At the first text the program closes the stream. That cancels nothing, and nothing attaches.",
        action="close",
        calls=[Call(deeds=[*sends(LOG[:4]), _FOR_LONG])],
        printed=Printed(events=range(1, 5)),
        log=LOG,
    ),
    Case(
        name="close_amid_a_response",
        about="As before, and the response with the text holds more, which the program is not handed any more.",
        action="close",
        calls=[Call(deeds=[Send(LOG[:6]), _FOR_LONG])],
        printed=Printed(events=range(1, 5)),
        log=LOG,
    ),
    Case(
        name="deadline",
        about="The program gives the stream a second. Heartbeats do not prolong it, and nothing attaches or cancels.",
        action="deadline",
        calls=[Call(deeds=[*sends(LOG[:4]), _FOR_LONG])],
        printed=Printed(events=range(1, 5), error=Failure(code="DEADLINE_EXCEEDED")),
        log=LOG,
    ),
)


def _waiting(*actions: runs_pb2.PendingAction) -> tuple[Call, ...]:
    return (Call(deeds=[Send(interrupted(*actions))]),)


_APPROVED = {"approval": {"decisions": [{"toolCallId": "call-1", "approve": {}}, {"toolCallId": "call-2", "approve": {}}]}}
_EDITED = {"approval": {"decisions": [{"toolCallId": "call-1", "approve": {"arguments": '{"to": "Bob"}'}}]}}
_DENIED = {"approval": {"decisions": [{"toolCallId": "call-1", "deny": {"reason": "not today"}}]}}
_RETURNED = {"toolReturns": {"returns": [{"toolCallId": "call-3", "status": "TOOL_RETURN_STATUS_SUCCESS", "text": "sunny"}]}}
_ANSWERS = (
    Case(
        name="approve",
        about="The run waits for two calls; the program approves both and follows the run that goes on.",
        action="approve",
        calls=_waiting(_SENDING, _BURNING),
        log=interrupted(_SENDING, _BURNING),
        answering=[Call(deeds=sends(_ANSWER[:4]), end=Refusal()), Call(deeds=sends(_ANSWER[4:]))],
        answering_log=_ANSWER,
        printed=Printed(events=_ANSWERED.events, text="Done.", state="COMPLETED", pending=["call-1", "call-2"]),
        seen=Seen(starts=2, attached_after=[4], answers=[_APPROVED]),
    ),
    Case(
        name="approve_edited",
        about='The program approves the call with other arguments: {"to": "Bob"}, spelled like this.',
        action="edit",
        calls=_waiting(_SENDING),
        log=interrupted(_SENDING),
        answering=[Call(deeds=sends(_ANSWER))],
        answering_log=_ANSWER,
        printed=Printed(events=_ANSWERED.events, text="Done.", state="COMPLETED", pending=["call-1"]),
        seen=Seen(starts=2, answers=[_EDITED]),
    ),
    Case(
        name="deny",
        about="The program denies the call; its reason is `not today`.",
        action="deny",
        calls=_waiting(_SENDING),
        log=interrupted(_SENDING),
        answering=[Call(deeds=sends(_ANSWER))],
        answering_log=_ANSWER,
        printed=Printed(events=_ANSWERED.events, text="Done.", state="COMPLETED", pending=["call-1"]),
        seen=Seen(starts=2, answers=[_DENIED]),
    ),
    Case(
        name="client_tool",
        about="The run waits for a tool that the client runs; the program returns the text `sunny`.",
        action="return",
        calls=_waiting(_WEATHER),
        log=interrupted(_WEATHER),
        answering=[Call(deeds=sends(_ANSWER))],
        answering_log=_ANSWER,
        printed=Printed(events=_ANSWERED.events, text="Done.", state="COMPLETED", pending=["call-3"]),
        seen=Seen(starts=2, answers=[_RETURNED]),
    ),
    Case(
        name="left_waiting",
        about="The program reads to the end of a run that waits, and leaves it so.",
        calls=_waiting(_SENDING),
        log=interrupted(_SENDING),
        printed=Printed(events=range(1, len(interrupted(_SENDING)) + 1), state="INTERRUPTED", pending=["call-1"]),
    ),
)

DIALOGUES: tuple[Case, ...] = (*_ENDINGS, *_ANSWERS)
