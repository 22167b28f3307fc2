"""A walk through the documentation by somebody who does what it says.

pages.py    what a page says to do: its blocks of code, and the links that lead elsewhere
sandbox.py  where it is done: a directory that looks like a checkout, a PostgreSQL, free ports
"""
