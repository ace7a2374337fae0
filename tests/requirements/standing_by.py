"""What several servers on one database promise, and one that loses its database."""

REQUIREMENTS = {
    "one_server": "While a server has the database another one refuses to start, and says who has it.",
    "standby": "A server that stands by waits instead, and takes the place of the one that ends or loses the database.",
    "failover": "All promises hold over servers that take each other's place: same run, same numbers, same bytes.",
    "lost_database": "A server that loses its database cuts its streams, and serves again by itself once it can.",
    "fenced_server": "A server whose place was taken writes nothing, and shows nothing that the other one contradicts.",
    "told_database": "What is wrong with a database is said in one line, and no password.",
}
