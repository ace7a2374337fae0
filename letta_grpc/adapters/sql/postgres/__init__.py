"""PostgreSQL: a database that outlives machines. One server at a time writes, others stand by to take its place."""
