"""A private PostgreSQL with greenpool in front of it, to be looked at and thrown away.

`installation` finds the PostgreSQL programs, `cluster` runs a private server with them, `load`
puts a load on the pool and reads its figures, `story` tells the whole of it to the terminal.
`cluster` and `installation` also carry the PostgreSQL servers of the integration tests.
"""

from greenpool.demo.story import run

__all__ = ["run"]
