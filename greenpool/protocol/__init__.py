"""PostgreSQL's wire protocol in Python, sans I/O: bytes in, messages out; decisions in, bytes out.

No socket, clock, logging or gevent in this package. The relay's hot path is `_cparser/protocol.c`;
this side speaks for greenpool itself: startup, login, the admin console, errors.
"""
