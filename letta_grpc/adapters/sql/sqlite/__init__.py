"""SQLite: one file, one server. One writer commits what all runs have waiting as one group."""
