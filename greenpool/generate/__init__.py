"""Configurations that greenpool writes itself.

    PostgreSQL -> introspection -> server (what it is) -> sizing -> draft --+
    pgbouncer.ini -> ini -> pgbouncer (what it means here) -----------------+-> outline -> text
                                                                                             |
                                                    printed, or checked and installed (install)

Law: the same facts give the same bytes. What each module knows ends at its arrow.
"""
