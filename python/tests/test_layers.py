"""Layers: modules of the package do not import one another in a circle."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "h5part"


def modules(package: Path) -> dict[str, Path]:
    """The modules of a package by name, with the stub of the extension. That of a folder has the folder's name."""
    paths = {path.relative_to(package.parent).with_suffix(""): path for path in package.rglob("*.py*")}
    named = {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}
    return {name: path for name, path in named.items() if path.suffix in {".py", ".pyi"}}


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run at some time, those of functions too. Blocks for type checkers do not."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from running(other)
        else:
            yield from running(child)


def imported(module: str, path: Path) -> Iterator[str]:
    """Full names of what a module imports."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            yield from (".".join(filter(None, [*above, node.module, alias.name])) for alias in node.names)


def graph(package: Path) -> dict[str, set[str]]:
    """The modules of the package that each module imports."""
    known = modules(package)
    edges: dict[str, set[str]] = {module: set() for module in known}
    for module, path in known.items():
        for name in imported(module, path):
            # A name is a module, or one that a module has.
            found = next((n for n in (name, name.rpartition(".")[0]) if n in known), None)
            if found is not None:
                edges[module].add(found)
    # It imports some modules only when a name of theirs is used.
    edges[package.name] |= known.keys() - {package.name}
    return edges


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The modules of a circle, each imported by the next one. Empty: there is none."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_imports_have_no_circle() -> None:
    edges = graph(PACKAGE)
    assert "h5part._table" in edges["h5part._store"] and "h5part.pool._wire" in edges["h5part.pool._worker"]
    assert circle(edges) == []


def test_circles_are_found(tmp_path: Path) -> None:
    package = tmp_path / "p"
    (package / "q").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "q" / "__init__.py").write_text("from p.q._b import b\n")
    (package / "_a.py").write_text("def f():\n    from .q import b\n")
    hidden = "if TYPE_CHECKING:\n    from .. import _a\n"
    (package / "q" / "_b.py").write_text(hidden)
    assert circle(graph(package)) == []
    for text in ("from .. import _a\n", "from .._a import f\n", "import p._a\n", f"{hidden}else:\n    from p import _a\n"):
        (package / "q" / "_b.py").write_text(text)
        assert set(circle(graph(package))) == {"p._a", "p.q", "p.q._b"}, text
    (package / "q" / "_b.py").write_text("def f():\n    from p import a_name_of_the_package\n")
    assert "p" in circle(graph(package))
