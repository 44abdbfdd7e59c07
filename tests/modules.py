"""Our modules and what they import, read from their source."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
OURS = ("rdc", "sweeps", "launch", "analysis")


@dataclass(frozen=True)
class Import:
    """A dotted name that a module imports.

    Attributes:
      name: `a.b` of `import a.b`, and `a.b.c` of `from a.b import c`.
      at_start: when the module itself is imported, not in a function.
    """

    name: str
    at_start: bool

    @property
    def top(self) -> str:
        return self.name.split(".")[0]


def imports(path: Path) -> set[Import]:
    """Functions included; what only type checkers read is not."""
    return set(_imports(ast.parse(path.read_text()), at_start=True))


def _imports(node: ast.AST, at_start: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, at_start) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module is not None, "imports are absolute"
        assert node.level == 0, "imports are absolute"
        yield from (Import(f"{node.module}.{a.name}", at_start) for a in node.names)
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        for child in node.orelse:
            yield from _imports(child, at_start)
    else:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            at_start = False
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, at_start)


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def modules(package: str) -> dict[str, Path]:
    """Dotted names of a package and of all in it, with their files."""
    found = {}
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path
    assert found, package
    return found


def our_imports(package: str, at_start: bool = False) -> dict[str, set[str]]:
    """Module of `package`: the modules of `package` that it imports.

    Args:
      at_start: only what is imported with the module, not later in a function.
    """
    known = modules(package)
    return {
        module: {
            target
            for found in imports(path)
            if found.at_start or not at_start
            if (target := _module_of(found.name, known)) not in (None, module)
        }
        for module, path in known.items()
    }


def _module_of(name: str, known: dict[str, Path]) -> str | None:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def circle(graph: dict[str, set[str]]) -> list[str] | None:
    """A way from a module back to itself, if there is one."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None
