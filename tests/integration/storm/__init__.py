"""Clients that do what cannot be interrupted and check every answer; and the storm over them.

client.py        what a storm sees of a client, and those that run in this process
with_asyncpg.py  the kinds of asyncpg
with_psycopg.py  the kinds of psycopg
with_raw.py      the kinds that speak the protocol themselves
python_crew.py   all of these together
program.py       clients in a program of its own, in whatever language
course.py        upgrades, reloads and killed workers, one after another
journal.py       when all that was, for who wonders what a client has failed of
"""
