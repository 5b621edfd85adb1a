"""Docstrings: every public name has one, and it says what users must know. Their examples run."""

from __future__ import annotations

import dataclasses
import doctest
import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import surface

import h5part

# Their names end so: whatever they are a method of, they write.
WRITES = re.compile(
    r"\.(commit|commit_if|flush|reset|extend|add_columns|append|__setitem__|create|create_table|require_table|adopt|merge"
    r"|publish|verify|recover|gate|run|save|save_step|grow|prepare|done|fail|release|claim|claims|requeue|cancel|reap|sync"
    r"|patch)$"
)
# They are called like a writer, but change nothing that others see.
READS = {"h5part.pool.PoolFuture.cancel"}
# Classes whose objects other calls return.
NOT_CONSTRUCTED = {
    *(f"h5part.{name}" for name in ("Attributes", "Block", "Claim", "Column", "Store", "Table", "Writer")),
    "h5part.ragged.Ragged",
    "h5part.starmap.IterResult",
}
# Their examples use names of the reader's program.
SKETCHES = {"h5part.Monitor"}
SECONDS = {"timeout", "interval", "wait", "retry_delay", "stale_after"}
SURFACE = list(surface.walk())


def owned(name: str) -> Iterator[surface.Entry]:
    for entry in SURFACE:
        if entry.name == name:
            yield entry


def parameters(entry: surface.Entry) -> dict[str, str]:
    """The parameters that users give, and their types."""
    if isinstance(entry.value, property) or entry.name in NOT_CONSTRUCTED:
        return {}
    if inspect.isclass(entry.value) and (
        dataclasses.is_dataclass(entry.value) or issubclass(entry.value, Exception | enum.Enum)
    ):
        return {}
    try:
        found = inspect.signature(entry.value).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: str(p.annotation) for p in found if p.name not in {"self", "cls", "args", "kwargs"}}


@pytest.mark.parametrize("entry", SURFACE, ids=lambda entry: entry.name)
def test_a_public_name_is_explained(entry: surface.Entry) -> None:
    assert entry.doc, "it has no docstring"
    first = entry.doc.partition("\n\n")[0]
    assert first.rstrip().endswith((".", ":")), f"the first paragraph is no sentence: {first}"
    names = parameters(entry)
    refers = re.search(r"\bsee `|same as|\bsee :", entry.doc) is not None
    # A single argument of a method is clear from the sentence.
    for name in names if len(names) > 1 and not refers else []:
        assert re.search(rf"\b{name}\b", entry.doc), f"'{name}' is not explained"
    for name in names:
        if name in SECONDS and "float" in names[name]:
            assert "econds" in entry.doc or "As in" in entry.doc, f"the unit of '{name}' is not given"
    for line in entry.doc.splitlines():
        if re.search(r": (array_like|ndarray)", line):
            assert "shape" in line or "shape" in entry.doc, f"a shape is missing: {line}"


@pytest.mark.parametrize("entry", [e for e in SURFACE if WRITES.search(e.name)], ids=lambda entry: entry.name)
def test_a_writer_tells_what_may_run_beside_it(entry: surface.Entry) -> None:
    if entry.name not in READS:
        assert "**Concurrency" in entry.doc
        owner = entry.name.rpartition(".")[0]
        docs = entry.doc + "".join(e.doc for e in owned(owner))
        assert "urvive" in docs or "tomic" in docs, "it does not say what a kill leaves"


@pytest.mark.parametrize("name", h5part.__all__)
def test_a_name_that_users_call_has_an_example(name: str) -> None:
    value: Any = getattr(h5part, name)
    made_elsewhere = name in {"Claim", "ColumnStatus", "Report", "Status", "Summary", "program", "errors"}
    if made_elsewhere or (inspect.isclass(value) and issubclass(value, Exception)):
        return
    assert ">>>" in (inspect.getdoc(value) or "")


@pytest.mark.parametrize("module", surface.modules())
def test_examples(module: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        pytest.skip(f"EXAMPLES NOT TESTED: {error}")
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    finder = doctest.DocTestFinder(recurse=False)
    examples = [(module, loaded), *((e.name, e.value) for e in SURFACE if e.module == module)]
    for number, (name, value) in enumerate(examples):
        if name in SKETCHES:
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        for test in finder.find(value, name, module=False, globs={"__name__": "__main__"}):
            said: list[str] = []
            runner.run(test, out=said.append, clear_globs=False)
            assert not runner.failures, "".join(said)
