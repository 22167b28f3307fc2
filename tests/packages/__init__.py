"""The packages on clean systems: what an administrator does with them, and clients meanwhile."""
