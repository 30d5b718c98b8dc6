"""The command line: a thin client of the gateway's public API, the two commands that run it, and the demo."""
