"""The configuration in memory: tenants, accesses, webhooks, tokens and ports, and the only way to change them."""
