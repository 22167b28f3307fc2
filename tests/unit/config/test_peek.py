"""The pid file of a configuration, however broken the file is."""

from __future__ import annotations

import pytest

from greenpool.config import peek_pid_file
from greenpool.errors import ConfigError
from tests.unit.config.conftest import Files


def test_pid_file_is_found_beside_what_is_wrong(files: Files):
    path = files.write("greenpool.yaml", "general: {pid_file: run/x.pid, prot: 0}\npools: 7\n")
    assert peek_pid_file(path, {}) == files.directory / "run/x.pid"


def test_pid_file_of_an_included_file_is_found(files: Files):
    files.write("base/base.yaml", "general: {pid_file: x.pid}")
    path = files.write("greenpool.yaml", "include: {files: [base/base.yaml]}")
    assert peek_pid_file(path, {}) == files.directory / "base/x.pid"


@pytest.mark.parametrize("text", ["general: {port: 1}", "general: {pid_file: ''}", "general: 7"])
def test_none_is_no_pid_file(files: Files, text: str):
    assert peek_pid_file(files.write("greenpool.yaml", text), {}) is None


def test_file_that_cannot_be_read_is_an_error(files: Files):
    with pytest.raises(ConfigError):
        peek_pid_file(files.write("greenpool.yaml", "general: ["), {})
