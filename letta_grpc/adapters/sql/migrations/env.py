"""What Alembic runs: the revisions, on the connection that the caller has begun a transaction on."""

from alembic import context

from letta_grpc.adapters.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
