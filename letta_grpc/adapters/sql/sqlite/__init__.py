"""SQLite: one file, one server. One writer thread commits what all runs have waiting as one group."""
