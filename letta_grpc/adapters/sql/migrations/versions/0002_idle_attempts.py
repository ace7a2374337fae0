import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("taken_over_at", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("idle_attempts", sa.Integer(), nullable=False, server_default="0"))
