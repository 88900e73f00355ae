"""A file imports only from files listed before it: the order of the house, enforced."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import npdiff

ROOT = Path(npdiff.__file__).parent
FILES = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py"))

# Each entry stands on those above it. A folder is one floor: what its files may import of each other stands below.
FLOORS = ["errors.py", "cache.py", "config.py", "log.py", "bytecode.py", "tree.py", "avals.py", "lapack.py",
          "core.py", "graph.py", "steps.py", "reveal.py", "array.py", "operators.py", "foreign.py", "dispatch/",
          "transforms/", "kernels/", "backend/", "outside.py", "environment.py", "residuals.py", "program.py",
          "replay.py", "quick.py", "profiling.py", "explain.py", "picture.py", "reasons.py", "jit.py", "compile.py",
          "info.py", "demo.py", "testing.py", "samples.py", "coverage.py", "pages.py", "__main__.py"]
# Floors that never meet, although one stands above the other.
STRANGERS = {("dispatch/", "transforms/"), ("transforms/", "dispatch/"), ("kernels/", "dispatch/")}
# These use the package as any user does.
GUESTS = ("info.py", "demo.py", "__main__.py")
# Within dispatch/, these stand below all chapters, in this order.
GROUND = ["dispatch/rules.py", "dispatch/declare.py"]


def floor(file: str) -> int | None:
    """Number of the floor a file stands on; None for `__init__.py` of the package, which imports from all."""
    if file == "__init__.py":
        return None
    for k, name in enumerate(FLOORS):
        if file == name or (name.endswith("/") and file.startswith(name)):
            return k
    raise AssertionError(f"{file} stands on no floor: enter it in FLOORS")


def imports(file: str) -> set[str]:
    """The files of npdiff that a file imports when it is imported (not inside functions, not for types only)."""
    found: set[str] = set()
    tree = ast.parse((ROOT / file).read_text())

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and child.module and child.module.split(".")[0] == "npdiff":
                parts = child.module.split(".")[1:]
                for alias in child.names:
                    found.add(as_file([*parts, alias.name]) or as_file(parts) or "")
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.split(".")[0] == "npdiff":
                        found.add(as_file(alias.name.split(".")[1:]) or "")
            visit(child)

    visit(tree)
    return found


def as_file(parts: list[str]) -> str | None:
    """``dispatch/math.py`` for the parts of a module's name."""
    for candidate in ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"])):
        if (ROOT / candidate).is_file():
            return candidate
    return None


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down(file: str) -> None:
    here = floor(file)
    if here is None or file in GUESTS:
        return
    for other in imports(file):
        there = floor(other)
        assert there is not None, f"{file} imports the package itself, which imports everything"
        assert there <= here, f"{file} imports {other}, which stands above it"
        assert (FLOORS[here], FLOORS[there]) not in STRANGERS, f"{file} imports {other}: they meet on Primitive only"


@pytest.mark.parametrize("file", [f for f in FILES if f.startswith("dispatch/")])
def test_the_ground_of_dispatch(file: str) -> None:
    if file in GROUND:
        chapters = [f for f in imports(file) if f.startswith("dispatch/") and f not in GROUND]
        assert not chapters, f"{file} stands below the chapters but imports {chapters}"


@pytest.mark.parametrize("folder", ["dispatch/", "transforms/", "kernels/", "backend/"])
def test_no_circles_within_a_floor(folder: str) -> None:
    graph = {f: {o for o in imports(f) if o.startswith(folder) and o != f} for f in FILES if f.startswith(folder)}
    done: set[str] = set()
    while len(done) < len(graph):
        free = [f for f in graph if f not in done and graph[f] <= done]
        assert free, f"these import each other in a circle: {sorted(set(graph) - done)}"
        done.update(free)


def test_the_walk_sees_imports() -> None:
    assert "core.py" in imports("array.py")
    assert "dispatch/declare.py" in imports("dispatch/math.py")
    with pytest.raises(AssertionError, match="no floor"):
        floor("strange.py")
