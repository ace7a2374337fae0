"""Servers' sessions in a PostgreSQL database, as its administrator sees and ends them."""

import psycopg

_OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'letta-grpc'"


def end_sessions(url: str) -> int:
    """End the connections of all servers; return how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        return len(connection.execute(f"SELECT pg_terminate_backend(pid, 10000) {_OURS}").fetchall())


def count_sessions(url: str) -> int:
    """Return how many connections servers have."""
    with psycopg.connect(url, autocommit=True) as connection:
        (count,) = connection.execute(f"SELECT count(*) {_OURS}").fetchall()[0]
    return int(count)
