"""How many events a second a tenant may push."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.get_context().impl.static_output(Path(__file__).with_suffix(".sql").read_text("utf-8"))
