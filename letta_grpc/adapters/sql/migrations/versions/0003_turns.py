import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    turns = sa.text("state = 'completed' AND kind <> 'compaction' AND NOT background")
    op.create_index(
        "ix_runs_turns",
        "runs",
        ["agent_id", "end_time", "position", "state", "kind", "background"],
        sqlite_where=turns,
        postgresql_where=turns,
    )
