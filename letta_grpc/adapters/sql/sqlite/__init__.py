"""SQLite: a database in a file, beside which there is a lock that makes it one server's own."""
