"""Since when a webhook has been failing."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.get_context().impl.static_output(Path(__file__).with_suffix(".sql").read_text("utf-8"))
