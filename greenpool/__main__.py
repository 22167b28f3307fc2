"""`python -m greenpool`: the same as the command `greenpool`."""

from greenpool.cli import main

main()
