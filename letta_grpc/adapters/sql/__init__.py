"""State in a SQL database: one schema and one set of queries, whichever database it is."""
