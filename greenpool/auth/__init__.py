"""Authentication, sans I/O: one method a file, each machine fed with messages.

`client_auth` drives clients that log in here; `server_login` uses the other sides of the same
methods to log in at PostgreSQL. PBKDF2 is never run here by surprise: whoever may need it takes a
`derive` callable, so that a worker can put it on a thread pool and cache it.
"""
