"""Cases about one stream: what breaks, and what only looks as if."""

from collections.abc import Sequence

import grpc

from letta_grpc.conformance.cases import Beats, Call, Case, Deed, Event, Failure, Printed, Refusal, Seen, Send
from letta_grpc.conformance.logs import (
    completed,
    delta,
    finished,
    numbered,
    opened,
    restarted,
    said,
    started,
    step,
    unknown,
    with_unknown_field,
)
from letta_grpc.v1 import events_pb2

LOG = said(["Hel", "lo, ", "wörld 🌍"])
TEXT = "Hello, wörld 🌍"
CUT = Refusal()
_WHOLE = Printed(events=range(1, len(LOG) + 1), text=TEXT, state="COMPLETED")
_BROKEN = Failure(code="UNAVAILABLE")
# Without progress a stream is tried this often, counting the call that broke; a start that nobody accepted this often.
STREAM_TRIES = 20
START_TRIES = 9


def sends(events: Sequence[Event]) -> list[Deed]:
    """One response for each event."""
    return [Send([event]) for event in events]


def heartbeat(number: int) -> Event:
    """A heartbeat that says: all up to this number was delivered."""
    return Event(sequence_number=number, heartbeat=events_pb2.Heartbeat())


def _whole(name: str, about: str, *calls: Call, after: Sequence[int] = (), starts: int = 1) -> Case:
    """Return a case at whose end the client has everything once."""
    seen = Seen(starts=starts, attached_after=after)
    return Case(name=name, about=about, calls=calls, printed=_WHOLE, seen=seen, log=LOG)


def _cut_by(code: grpc.StatusCode) -> Case:
    name = f"cut_by_{code.name.lower()}"
    about = f"After four events the call ends with {code.name} and no reason: nothing that our server said."
    calls = Call(deeds=sends(LOG[:4]), end=Refusal(code=code)), Call(deeds=sends(LOG[4:]))
    return _whole(name, about, *calls, after=[4])


_PLAIN = (
    _whole("whole", "Nothing goes wrong; one response an event.", Call(deeds=sends(LOG))),
    _whole("all_at_once", "All events come in one response.", Call(deeds=[Send(LOG)])),
    _whole(
        "heartbeats",
        "Heartbeats come alone and last in a response; no program sees them.",
        Call(deeds=[Send([heartbeat(0)]), Send([*LOG[:3], heartbeat(3)]), Send([heartbeat(3)]), *sends(LOG[3:])]),
    ),
    _whole(
        "quiet_but_alive",
        "For longer than the limit of silence nothing but heartbeats comes.",
        Call(deeds=[*sends(LOG[:4]), Beats(4, 10), *sends(LOG[4:])]),
    ),
)

_CUTS = (
    _whole(
        "cut_once",
        "The link breaks after four events.",
        Call(deeds=sends(LOG[:4]), end=CUT),
        Call(deeds=sends(LOG[4:])),
        after=[4],
    ),
    _whole(
        "cut_after_each_event",
        "The link breaks behind every event but the last.",
        *(Call(deeds=[Send([event])], end=CUT) for event in LOG[:-1]),
        Call(deeds=[Send([LOG[-1]])]),
        after=range(1, len(LOG)),
    ),
    _whole(
        "cut_before_the_first_event",
        "The run is accepted, then the link breaks: the id of the run is enough to attach.",
        Call(deeds=[Beats(0, 1)], end=CUT),
        Call(deeds=sends(LOG)),
        after=[0],
    ),
    _whole(
        "cut_and_attach_refused",
        "The link breaks and the next two tries find no server.",
        Call(deeds=sends(LOG[:4]), end=CUT),
        Call(end=CUT, accepts=False),
        Call(end=CUT, accepts=False),
        Call(deeds=sends(LOG[4:])),
        after=[4, 4, 4],
    ),
    _whole(
        "start_lost",
        "Twice the start fails before the run is accepted. It is repeated with the same request id.",
        Call(end=CUT, accepts=False),
        Call(end=CUT, accepts=False),
        Call(deeds=sends(LOG)),
        starts=3,
    ),
    _whole(
        "cut_behind_the_end",
        "The link breaks behind run_finished: there is nothing to attach for.",
        Call(deeds=sends(LOG), end=CUT),
    ),
    _whole(
        "ok_too_early",
        "The call ends OK before the run has: something between server and client ended it.",
        Call(deeds=sends(LOG[:4])),
        Call(deeds=sends(LOG[4:])),
        after=[4],
    ),
    *map(
        _cut_by,
        (
            grpc.StatusCode.ABORTED,
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.DATA_LOSS,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.UNKNOWN,
        ),
    ),
)

_SILENCE = (
    _whole(
        "stall",
        "After four events not even a heartbeat comes.",
        Call(deeds=sends(LOG[:4]), end="silence"),
        Call(deeds=sends(LOG[4:])),
        after=[4],
    ),
    _whole(
        "stall_before_the_first_event",
        "The run is accepted, then nothing comes.",
        Call(end="silence"),
        Call(deeds=sends(LOG)),
        after=[0],
    ),
)

_NUMBERS = (
    _whole(
        "doubles_after_attach",
        "After a cut the server sends two events again, one of them in a response with a new one.",
        Call(deeds=sends(LOG[:4]), end=CUT),
        Call(deeds=[Send([LOG[2]]), Send(LOG[3:6]), *sends(LOG[6:])]),
        after=[4],
    ),
    _whole(
        "gap",
        "An event is missing. What came before it counts, what came behind it does not.",
        Call(deeds=[Send([*LOG[:3], LOG[4]]), *sends(LOG[5:])]),
        Call(deeds=sends(LOG[3:])),
        after=[3],
    ),
    _whole(
        "gap_after_attach",
        "The stream that goes on after a cut leaves an event out.",
        Call(deeds=sends(LOG[:4]), end=CUT),
        Call(deeds=sends(LOG[5:])),
        Call(deeds=sends(LOG[4:])),
        after=[4, 4],
    ),
    _whole(
        "heartbeat_ahead",
        "A heartbeat claims events that never came.",
        Call(deeds=[*sends(LOG[:4]), Send([heartbeat(6)])], end="silence"),
        Call(deeds=sends(LOG[4:])),
        after=[4],
    ),
)

_GIVING_UP = (
    Case(
        name="never_comes_back",
        about=f"The link breaks after four events and stays broken: {STREAM_TRIES} failures without progress are an error.",
        calls=[Call(deeds=sends(LOG[:4]), end=CUT), Call(end=CUT, accepts=False)],
        for_ever=True,
        printed=Printed(events=range(1, 5), error=_BROKEN),
        seen=Seen(attached_after=[4] * (STREAM_TRIES - 1)),
        log=LOG,
    ),
    Case(
        name="never_starts",
        about=f"No start is ever accepted: after {START_TRIES} tries it is an error.",
        calls=[Call(end=CUT, accepts=False)],
        for_ever=True,
        printed=Printed(error=_BROKEN),
        seen=Seen(starts=START_TRIES),
        log=LOG,
    ),
    Case(
        name="gap_that_stays",
        about="The same event is missing on every stream: an error, and nothing is skipped.",
        calls=[Call(deeds=[*sends(LOG[:3]), *sends(LOG[4:])]), Call(deeds=sends(LOG[4:]))],
        for_ever=True,
        printed=Printed(events=range(1, 4), error=_BROKEN),
        seen=Seen(attached_after=[3] * (STREAM_TRIES - 1)),
        log=LOG,
    ),
)

_NEWER = numbered(
    [
        started(),
        with_unknown_field(step()),
        opened("message-1"),
        with_unknown_field(delta("message-1", "Hi")),
        unknown(),
        completed("message-1", "Hi"),
        unknown(),
        with_unknown_field(finished()),
    ]
)
_RESTARTED = restarted()
_TWO = numbered(
    [
        started(),
        step(),
        opened("message-1"),
        delta("message-1", "First."),
        completed("message-1", "First."),
        step(1),
        opened("message-2"),
        delta("message-2", "Secon"),
        completed("message-2", "Second."),
        finished(),
    ]
)
_CONTENTS = (
    Case(
        name="newer_server",
        about="Events of an unknown kind have numbers and are handed on; fields that nobody knows are not looked at.",
        calls=[Call(deeds=sends(_NEWER[:5]), end=CUT), Call(deeds=sends(_NEWER[5:]))],
        printed=Printed(events=range(1, len(_NEWER) + 1), text="Hi", state="COMPLETED"),
        seen=Seen(attached_after=[5]),
        log=_NEWER,
    ),
    Case(
        name="step_restarted",
        about="Another server takes the run over: what the void message had said is taken back.",
        calls=[Call(deeds=sends(_RESTARTED[:4]), end=CUT), Call(deeds=sends(_RESTARTED[4:]))],
        printed=Printed(events=range(1, len(_RESTARTED) + 1), text="Good evening", state="COMPLETED"),
        seen=Seen(attached_after=[4]),
        log=_RESTARTED,
    ),
    Case(
        name="two_messages",
        about="A completed message replaces its deltas; texts have a blank line between them.",
        calls=[Call(deeds=[Send(_TWO)])],
        printed=Printed(events=range(1, len(_TWO) + 1), text="First.\n\nSecond.", state="COMPLETED"),
        log=_TWO,
    ),
    Case(
        name="without_deltas",
        about="The reader asked for no deltas, so numbers jump. That is no gap, and a heartbeat may be ahead.",
        omit_deltas=True,
        calls=[Call(deeds=[Send(LOG[:3]), Send([heartbeat(5)])], end=CUT), Call(deeds=sends(LOG[6:]))],
        printed=Printed(events=[1, 2, 3, 7, 8, 9], text=TEXT, state="COMPLETED"),
        seen=Seen(attached_after=[5]),
        log=LOG,
    ),
)

_ATTACHES = (
    Case(
        name="attach_in_the_middle",
        about="A run that somebody else started is followed from behind its fifth event.",
        action="attach",
        after=5,
        calls=[Call(deeds=sends(LOG[5:7]), end=CUT), Call(deeds=sends(LOG[7:]))],
        printed=Printed(events=range(6, len(LOG) + 1), text=TEXT, state="COMPLETED"),
        seen=Seen(starts=0, attached_after=[5, 7]),
        log=LOG,
    ),
    Case(
        name="attach_at_the_end",
        about="Behind the last event of a run that has ended the stream is empty and OK; GetRun tells how it ended.",
        action="attach",
        after=len(LOG),
        calls=[Call()],
        ended_before=True,
        printed=Printed(state="COMPLETED"),
        seen=Seen(starts=0, attached_after=[len(LOG)]),
        log=LOG,
    ),
)

STREAMS: tuple[Case, ...] = (*_PLAIN, *_CUTS, *_SILENCE, *_NUMBERS, *_GIVING_UP, *_CONTENTS, *_ATTACHES)
