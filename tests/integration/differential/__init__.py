"""The same bytes to PostgreSQL and to greenpool: what comes back must be the same."""
