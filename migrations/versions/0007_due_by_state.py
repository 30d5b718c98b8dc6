"""What is due is read on from a place, first tries and retries each for themselves."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.get_context().impl.static_output(Path(__file__).with_suffix(".sql").read_text("utf-8"))
