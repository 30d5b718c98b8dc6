"""Counts by minute, and indexes for the log's rarer questions."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.get_context().impl.static_output(Path(__file__).with_suffix(".sql").read_text("utf-8"))
