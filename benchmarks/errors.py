"""The one error of the benchmarks."""

from __future__ import annotations

from greenpool.errors import ExitCode, GreenpoolError


class BenchError(GreenpoolError):
    """Say why a figure could not be measured."""


class PlanError(BenchError):
    """Say which option cannot be understood."""

    exit_code = ExitCode.USAGE
