"""Runs histories: `python -m tests.simulation --histories 100000`. One of them: `--seed 7 --trace`."""

from __future__ import annotations

import sys

from tests.simulation.command import main

if __name__ == "__main__":
    sys.exit(main())
