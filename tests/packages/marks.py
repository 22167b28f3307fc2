"""What is said of all tests of packages: what they need, and how long they may take."""

from __future__ import annotations

import pytest

from tests.packages.building import BUILD_DEADLINE_S
from tests.packages.debian import BASE_DEADLINE_S

NEEDS_A_SYSTEM = [
    pytest.mark.slow,
    pytest.mark.root,
    # The first one makes the base and the packages.
    pytest.mark.timeout(BASE_DEADLINE_S + 3 * BUILD_DEADLINE_S),
]
