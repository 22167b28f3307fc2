"""The admin console: SQL-like commands over a client connection of its own database.

    session.py        a socket: bytes in, bytes out
    conversation.py   the protocol: simple and extended queries, sans I/O
    console.py        what a statement means: SHOW, commands, or what drivers say by themselves
    show.py           the table of everything that can be shown, and the rows of each
    chatter.py        the SQL that drivers send unasked
    client.py         the other end, for `greenpool show`; table.py lays its answers out

Rows are made from snapshots of the shared segment only, so whichever worker has the client speaks
for the whole greenpool. Nothing here changes the segment or imports the compiled engine.
"""
