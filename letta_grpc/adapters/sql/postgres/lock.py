"""The lock that makes a database one server's own."""

from letta_grpc.adapters.sql.failures import DatabaseInUseError, without_password
from letta_grpc.adapters.sql.postgres.connections import Driver

# Within one database, among everybody who takes advisory locks there: the bytes of "lettagrp".
_KEY = int.from_bytes(b"lettagrp")

# A lock by one number has its halves in these columns, and tells so by `objsubid`.
_HOLDER = """
SELECT activity.pid, host(activity.client_addr) FROM pg_locks AS locks
LEFT JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 1
AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (locks.classid::bigint << 32) + locks.objid::bigint = %s
"""


def take_lock(driver: Driver, url: str) -> None:
    """Take it for as long as the connection lasts, however it ends. Raises DatabaseInUseError.

    Everything is written on the connection that holds it: who has lost the lock can write no more.
    """
    taken = driver.execute("SELECT pg_try_advisory_lock(%s)", (_KEY,)).fetchone()
    if taken != (True,):
        check_free(driver, url)
        raise DatabaseInUseError(f"The database {without_password(url)} was in use by another server until just now.")


def check_free(driver: Driver, url: str) -> None:
    """Raise DatabaseInUseError while a server has the database."""
    holder = driver.execute(_HOLDER, (_KEY,)).fetchone()
    if holder is not None:
        pid, address = holder
        where = f"at {address}, " if address else ""
        told = f"The database {without_password(url)} is in use by another server ({where}database process {pid})."
        raise DatabaseInUseError(told)
