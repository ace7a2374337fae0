"""Whether the store takes writes, as the renewal of leases tells, which a server does even while nobody calls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.ports.journal import Lease, Leases


class Readiness(Protocol):
    """Is told whether the server can do its work."""

    async def __call__(self, *, ready: bool) -> None:
        """Take note of it."""
        ...


class WatchedLeases:
    """Leases that tell `told` with each renewal whether the store took it."""

    def __init__(self, inner: Leases) -> None:
        self.told: Readiness = _nobody
        self.take_over = inner.take_over
        self.start_next = inner.start_next
        self.waiting_conversations = inner.waiting_conversations
        self.expire_calls = inner.expire_calls
        self._renew = inner.renew

    async def renew(self, leases: Sequence[Lease], until: datetime) -> tuple[Lease, ...]:
        """Extend leases; return those that were lost."""
        try:
            lost = await self._renew(leases, until)
        except StoreUnavailable:
            await self.told(ready=False)
            raise
        await self.told(ready=True)
        return lost


async def _nobody(*, ready: bool) -> None:
    pass
