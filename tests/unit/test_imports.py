"""The import graph points one way, and the master makes no hub. See section 7 of the design.

cli ─► generate, top ─► demo, master ─► worker ─► admin ─► inquiry ─► auth, pooling, protocol
─► engine ─► chronicle, inventory, login, tls ─► binding ─► records, config, observe, tallies
─► errors, examples
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import greenpool

ROOT = Path(greenpool.__file__).parent

# A package imports from itself, its own row and the rows below; the demo runs greenpool as a child
# process and knows nothing of the master. Neither modules nor packages import in a circle.
ROWS = (
    ("__main__",),
    ("cli",),
    ("generate", "top"),
    ("demo", "master"),
    ("worker",),
    ("admin",),
    ("inquiry",),
    ("auth", "pooling", "protocol"),
    ("engine", "segment"),
    ("chronicle", "inventory", "login", "tls"),
    ("binding",),
    ("records", "rows", "config", "observe", "process", "tallies"),
    ("errors", "examples"),
)
_STRANGERS = {("demo", "master"), ("master", "demo")}
_ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}


MODULES = {
    ".".join(("greenpool", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}


def imports(module: str) -> set[str]:
    """Return the modules of greenpool that one imports, those for types alone left out."""
    found: set[str] = set()
    for node in _without_type_checking(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in MODULES else node.module for name in names)
    return found & MODULES.keys()


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _without_type_checking(node)


@pytest.mark.parametrize("module", list(MODULES))
def test_module_imports_only_from_its_row_and_below(module: str):
    part = part_of(module)
    others = {part_of(other) for other in imports(module)} - {part, ""}
    if not part:
        assert not others  # the version, and nothing else
        return
    assert part in _ROW_OF, f"{part} has no row in this test"
    for other in others:
        allowed = _ROW_OF[other] >= _ROW_OF[part] and (part, other) not in _STRANGERS
        assert allowed, f"{module} imports greenpool.{other}"


def test_no_module_imports_itself_in_a_circle():
    graph = {module: imports(module) - {module} for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_package_imports_itself_in_a_circle():
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        others = {part_of(other) for other in imports(module)}
        graph.setdefault(part_of(module), set()).update(others - {part_of(module)})
    TopologicalSorter(graph).prepare()


def test_nothing_imports_the_built_engine_but_its_binding():
    users = [path for path in MODULES.values() if "greenpool._engine" in _imports_of(path)]
    assert users == [ROOT / "binding.py"]
    wrappers = {module for module in MODULES if "greenpool.binding" in imports(module)}
    names = ("chronicle", "engine", "inventory", "login", "segment", "tls")
    assert wrappers == {f"greenpool.{name}" for name in names}


def test_configuration_is_used_by_what_it_exports():
    users = {module: _imports_of(path) for module, path in MODULES.items()}
    inside = {module for module, names in users.items() if _reaches_into_config(names)}
    assert all(part_of(module) == "config" for module in inside), inside


def _reaches_into_config(names: set[str]) -> bool:
    return any(name.startswith("greenpool.config.") for name in names)


def _imports_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_master_has_neither_hub_nor_threads_nor_patches():
    said = python("""
import socket, threading
import greenpool.master.main
import gevent.monkey
from gevent._hub_local import get_hub_if_exists
print(get_hub_if_exists(), threading.active_count(), gevent.monkey.is_module_patched("socket"))
""")
    assert said == "None 1 False\n"


def test_commands_do_without_gevent_and_the_engine():
    said = python("""
import sys
import greenpool.cli
print([name for name in ("gevent", "greenpool._engine") if name in sys.modules])
""")
    assert said == "[]\n"


def test_importing_has_no_effects():
    said = python("""
import logging, os, signal
before = len(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM)
import greenpool.cli, greenpool.master.main
assert before == (len(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM))
print(logging.getLogger().handlers)
""")
    assert said == "[]\n"
