"""Copying the write-ahead log into the database file, away from the writer."""

import logging
import sqlite3
import threading
from pathlib import Path

from letta_grpc.adapters.sql.sqlite.connections import WAL_BYTES, Sync, connect_checkpointer

logger = logging.getLogger(__name__)

# A passive checkpoint never stops the writer, but the log starts again from its beginning only if the writer pauses right
# after it: under load it grows without end. Beyond this the writer waits once for the little that the passive one left.
_TOO_LONG_BYTES = 16 * 2**20
_COMMITS_BETWEEN_LOOKS = 32


class Checkpointer:
    """Watches the log's length from the writer's thread and copies on its own."""

    def __init__(self, path: Path, sync: Sync) -> None:
        self._log = path.with_name(f"{path.name}-wal")
        self._driver = connect_checkpointer(path, sync)
        self._commits = 0
        self._wanted = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sqlite-checkpoints", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Take note of a commit."""
        self._commits += 1
        if self._commits % _COMMITS_BETWEEN_LOOKS == 0 and self._log_bytes() > WAL_BYTES:
            self._wanted.set()

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _work(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            if self._closed:
                return
            try:
                self._checkpoint()
            except sqlite3.Error:
                # The log keeps everything: nothing is lost, and the next commits bring the next attempt.
                logger.warning("a checkpoint failed", exc_info=True)

    def _checkpoint(self) -> None:
        self._driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if self._log_bytes() > _TOO_LONG_BYTES:
            self._driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """End the thread. The last connection that closes copies what is left."""
        self._closed = True
        self._wanted.set()
        self._thread.join()
        self._driver.close()
