"""The journal, the log and the leases: one thread writes, in transactions that hold what all runs have waiting."""
