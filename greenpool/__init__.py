"""greenpool, a PostgreSQL connection pooler: this file holds its version and nothing else."""

__version__ = "0.1.0"
