"""`gateway demo`: everything at once, to look at and to try."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("gateway-data/demo"),
    show_default=True,
    help="Where the demo's database and token are kept.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="The gateway's port. [8080, or a free one]")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, help="Calls a second."
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End by itself after so long.")
def command(data_dir: Path, port: int | None, rate: float, seconds: float | None) -> None:
    """Run a gateway with a simulated switch and simulated systems of record, and show what flows.

    The targets check every signature and credential, and now and then answer 503, so that retries
    are seen. Ctrl-C stops everything. The database stays in --data-dir for the next time.
    """
    # Imported only now: a shell that completes commands loads this file, and need not load the whole demo.
    import uvloop

    from gateway.cli.demo_stage import Options, run

    uvloop.run(run(Options(data_dir, port, rate, seconds)))
