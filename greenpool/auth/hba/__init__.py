"""Rules of pg_hba.conf at work: which rule speaks of a client, and what it says of it.

The rules themselves are part of the configuration: `greenpool.config`.
"""
