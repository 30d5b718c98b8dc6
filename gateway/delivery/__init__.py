"""The way of an accepted event to its targets: engine, lanes, transport, recorder."""
