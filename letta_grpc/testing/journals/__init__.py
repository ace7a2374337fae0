"""What Journal, Leases and EventLog promise.

Each suite is a class. A subclass gives the fixtures `world` (whose stores are empty), `leases`, `codec`, and `clock`: the
FakeClock that the journal goes by. Its leases last LEASE_TIME.
"""

from letta_grpc.testing.journals.appending import AppendContract
from letta_grpc.testing.journals.approving import AnswerContract
from letta_grpc.testing.journals.claiming import ClaimContract
from letta_grpc.testing.journals.denying import DenialContract
from letta_grpc.testing.journals.ending import CancelContract
from letta_grpc.testing.journals.forking import ForkContract
from letta_grpc.testing.journals.leases import LeasesContract
from letta_grpc.testing.journals.log import EventLogContract
from letta_grpc.testing.journals.scenes import LEASE_TIME

__all__ = [
    "LEASE_TIME",
    "AnswerContract",
    "AppendContract",
    "CancelContract",
    "ClaimContract",
    "DenialContract",
    "EventLogContract",
    "ForkContract",
    "LeasesContract",
]
