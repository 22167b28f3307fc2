"""What a generation of another layout may change before it takes over: its own settings only."""

from __future__ import annotations

import os
from pathlib import Path

from greenpool.config import Config, load
from greenpool.master.live import LiveConfig
from greenpool.segment import Segment

CONFIG = """
general: {{max_memory_usage: {memory}}}
pools:
  shop:
    max_db_connections: {limit}
    users: [{{username: ann, password: secret, pool_size: {limit}}}]
"""


def config(path: Path, limit: int) -> Config:
    path.write_text(CONFIG.format(limit=limit, memory=f"{limit} GB"))
    return load(path, {})


def test_limits_of_both_generations_change_at_the_take_over(tmp_path: Path):
    old, new = config(tmp_path / "old.yaml", 3), config(tmp_path / "new.yaml", 7)
    segment = Segment.create(2, 8, 32)
    before = LiveConfig(old, lambda: old, segment)
    other_layout = os.memfd_create("other")
    beside = Segment.attach(other_layout, segment.fds()[1])
    assert beside.is_fresh

    after = LiveConfig(new, lambda: new, beside, is_first=False)
    assert [row.settings.size for row in beside.pool_rows()] == [7]
    assert [row.settings.size for row in segment.pool_rows()] == [3]
    assert [row.max for row in segment.database_rows()] == [3]
    after.take_over()
    assert [row.max for row in segment.database_rows()] == [7]

    before.put_back()  # the new generation has died
    assert [row.max for row in beside.database_rows()] == [3]
    assert [row.settings.size for row in segment.pool_rows()] == [3]
    os.close(beside.fds()[0])  # all others are both's
    segment.close()
