"""`python -m gateway.cli`: the command line without an installed script."""

from gateway.cli.main import main

main()
