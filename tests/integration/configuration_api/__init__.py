"""The configuration half of /api/v1 over real sockets and a real database."""
