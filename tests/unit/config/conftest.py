"""Write a configuration into a directory of its own and load it, or say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from greenpool.config import Config, load
from greenpool.errors import ConfigError

# What every complete file needs; tests about general append this to theirs.
POOLS_YAML = """
pools:
  app:
    users:
      - {username: ann, password: secret}
"""


class Files:
    """A directory of configuration files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def load(
        self, text: str, environ: Mapping[str, str] | None = None, name: str = "greenpool.yaml"
    ) -> Config:
        return load(self.write(name, text), environ or {})

    def problems(
        self, text: str, environ: Mapping[str, str] | None = None, name: str = "greenpool.yaml"
    ) -> list[str]:
        """Load what must fail; the problems with the directory's name cut off."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, environ, name)
        return [problem.replace(f"{self.directory}/", "") for problem in caught.value.problems]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def general(files: Files) -> Callable[[str], Config]:
    """Load a file with one line in its general section and a pool."""
    return lambda line: files.load(f"general:\n  {line}\n{POOLS_YAML}")
