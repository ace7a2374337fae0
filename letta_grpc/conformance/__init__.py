"""The conformance kit: a server that does what a script says, and what a right client makes of it.

    cases.py       what a case is: calls that the server plays, and what must come out
    logs.py        the runs that the cases are about
    streams.py     cases: cuts, silence, gaps, doubles, unknown kinds, restarts
    refusals.py    cases: every reason of the contract
    dialogues.py   cases: cancel, close, deadlines, approvals, client tools
    describing.py  the cases as JSON, for programs in any language
    stage.py       the runs that are played
    service.py     the server

The file `clients/conformance/cases.json` is what `letta-grpc conformance cases` prints.
"""

from letta_grpc.conformance.cases import Case
from letta_grpc.conformance.describing import described, text_of
from letta_grpc.conformance.dialogues import DIALOGUES
from letta_grpc.conformance.refusals import REFUSALS
from letta_grpc.conformance.service import serving
from letta_grpc.conformance.streams import STREAMS

CASES: tuple[Case, ...] = (*STREAMS, *REFUSALS, *DIALOGUES)

__all__ = ["CASES", "Case", "described", "serving", "text_of"]
