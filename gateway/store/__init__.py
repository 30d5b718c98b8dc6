"""PostgreSQL: the only part that knows SQL, and the first implementation of `gateway.log`."""
