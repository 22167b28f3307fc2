"""Clients whose sessions are compared: directly, and through greenpool."""
