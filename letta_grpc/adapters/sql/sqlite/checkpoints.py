"""Copying the write-ahead log into the database file, away from the writer."""

import logging
import sqlite3
import threading
from pathlib import Path

from letta_grpc.adapters.sql.sqlite.connections import WAL_BYTES, Sync, connect_checkpointer

logger = logging.getLogger(__name__)

# A passive checkpoint never stops the writer, but the log starts again from its beginning only if the writer pauses right
# after it: under load it grows without end. Beyond this the writer itself copies the little that the passive one left: from
# another connection that would wait for a gap between commits which never comes.
_TOO_LONG_BYTES = 16 * 2**20
_COMMITS_BETWEEN_LOOKS = 32


class Checkpointer:
    """Watches the log's length from the writer's thread and copies on its own."""

    def __init__(self, path: Path, sync: Sync, writer: sqlite3.Connection) -> None:
        self._writer = writer
        # Beside the file itself, not beside a link to it.
        real = path.resolve()
        self._log = real.with_name(f"{real.name}-wal")
        self._driver = connect_checkpointer(path, sync)
        self._commits = 0
        self._copied_bytes = 0
        self._wanted = threading.Event()
        # Whose turn it is: a checkpoint of one connection would only get in the way of the other one's.
        self._copying = False
        self._copied = False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sqlite-checkpoints", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Take note of a commit, on the writer's thread."""
        self._commits += 1
        if self._copying or self._commits % _COMMITS_BETWEEN_LOOKS:
            return
        size = self._log_bytes()
        if self._copied and size > _TOO_LONG_BYTES:
            self._start_log_again()
            size = 0
        self._copied = False
        if size <= WAL_BYTES:
            self._copied_bytes = 0
        # The pages that most commits change are copied once for all of them.
        elif size - self._copied_bytes > WAL_BYTES or size > _TOO_LONG_BYTES:
            self._copying = True
            self._copied_bytes = size
            self._wanted.set()

    def _start_log_again(self) -> None:
        try:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            logger.warning("a checkpoint failed", exc_info=True)

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            # Whatever it is, the next looks tell: raised here it would end the writer's thread, and every write would hang.
            return 0

    def _work(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            if self._closed:
                return
            try:
                self._driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error:
                # The log keeps everything: nothing is lost, and a longer log brings the next attempt.
                logger.warning("a checkpoint failed", exc_info=True)
            self._copied, self._copying = True, False

    def close(self) -> None:
        """End the thread. The last connection that closes copies what is left."""
        self._closed = True
        self._wanted.set()
        self._thread.join()
        self._driver.close()
