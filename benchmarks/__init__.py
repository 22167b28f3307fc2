"""Measure PostgreSQL poolers side by side; `scripts/bench` is the way in.

plan         what to measure: scripts, modes, client counts, seconds, rounds
server       the private PostgreSQL that everything runs against
contenders   PostgreSQL itself, PgBouncer, greenpool: equal settings, one process group each
cpu          the CPU time of a pooler's processes
run          one pgbench run: its figures and the CPU that the pooler spent meanwhile
speed        the turns A B A B; medians, spreads and ratios are `figures`, the text is `table`
memory       what an idle client costs
budget       what a transaction may cost the relay, counted: `scripts/budget`, part of scripts/test
record       which machine, which versions, which command; the raw samples as JSON
"""
