"""A worker process: accepts clients, logs them in, gives them to the engine, opens servers.

Everything here runs after the fork, in one process with one gevent hub; nothing is
monkey-patched: what waits says so by using gevent's own sockets.
"""
