"""Measure PostgreSQL poolers side by side; `scripts/bench` is the way in.

plan         what to measure: scenarios, modes, client counts, seconds, rounds
server       what everything runs against: a private PostgreSQL, or the null server
contenders   the server itself and the poolers, one process group each; `configs`: equal settings
stage        all of them, started and ended
cpu          the CPU time of a pooler's processes
pgbench      one run of pgbench; `load`: of our own generator; `copying`: of a COPY by psql
drivers      which of them measures what; `sample`: the figures that all of them give
speed        the turns A B A B
figures      medians, spreads and ratios; `table` and `chart` show them
memory       what an idle client costs
record       which machine, which versions, which command; the raw samples as JSON
tools        the programs in C, of _cparser/bench
budget       what a transaction may cost the relay, counted: `scripts/budget`, part of scripts/test
"""
