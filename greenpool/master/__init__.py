"""The master process: it supervises workers and touches no byte of a client.

Read `supervisor` first: its loop is what the master does. `main` brings everything up in order
and takes it down again; `command` is the other side of `control`, what the commands call.
"""
