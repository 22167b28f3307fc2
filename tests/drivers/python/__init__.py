"""The programs of the Python drivers; each is run as `python -m tests.drivers.python.with_...`."""
