"""A program for psqlODBC, run by Debian's Python, which has pyodbc."""
