"""How long each phase of an attempt took."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.get_context().impl.static_output(Path(__file__).with_suffix(".sql").read_text("utf-8"))
