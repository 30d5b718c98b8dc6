"""What Alembic runs: it writes the pending versions out as one SQL script, and never connects by itself.

`gateway.store.migrate` sends that script through asyncpg, in one transaction and under a lock. The
versions are plain SQL files, so what an operator reads there is what the database is told.
"""

from alembic import context
from alembic.util import CommandError

if not context.is_offline_mode():
    raise CommandError("run `gateway migrate`; or `alembic upgrade FROM:TO --sql` for the script alone")

context.configure(dialect_name="postgresql")
context.run_migrations()
