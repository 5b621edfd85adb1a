"""Makes the reference pages in docs/ from the docstrings.

python python/tests/reference.py
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import surface
from pages import DOCS

INDEX = "python-reference.md"
# Pages, and what is on each: modules, or names of the package itself.
PAGES = {
    "python-reference-tables.md": ("Stores, tables, columns", "h5part", "h5part.ragged"),
    "python-reference-tasks.md": (
        "Runs, ledgers, pools",
        "h5part.ledger",
        "h5part.pool",
        "h5part.starmap",
        "h5part.slurm",
        "h5part.progress",
        "h5part.monitor",
    ),
    "python-reference-adapters.md": ("emcee, mbe_automation, pyTransC", "h5part.emcee", "h5part.mbe", "h5part.pytransc"),
    "python-reference-errors.md": ("Errors", "h5part.errors"),
}
# Names of the package itself that are better explained beside others.
MOVED = {
    "h5part.Ledger": "h5part.ledger",
    "h5part.Claim": "h5part.ledger",
    "h5part.run": "h5part.ledger",
    "h5part.Summary": "h5part.ledger",
    "h5part.Pool": "h5part.pool",
    "h5part.Starmap": "h5part.starmap",
    "h5part.Monitor": "h5part.monitor",
}
NOTE = "<!-- Made from the docstrings by python/tests/reference.py; change those. -->\n"
# What users meet first comes first.
FIRST = [f"h5part.{name}" for name in ("create", "open", "Store", "Table", "Column", "Writer", "Block", "ColumnSpec", "run")]
# ``code``, or a name with or without a role.
MARKED = re.compile(r"``([^`]+)``|(?::(?:class|meth|func|attr):)?`~?([^`]+)`")


def pages() -> dict[str, str]:
    """The text of every page, by its name in docs/."""
    entries = sorted(surface.walk(), key=place)
    places = anchors(entries)
    texts: dict[str, str] = {}
    for page, (title, *modules) in PAGES.items():
        parts = [NOTE + f"# {title}\n", f"One of the [pages of reference]({INDEX}); [h5part from Python](python.md) is the guide.\n"]
        for module in modules:
            parts += [f"## Module `{module}`\n"]
            parts += [render(entry, page, places) for entry in entries if home(entry) == module]
        texts[page] = "\n".join(parts)
    texts[INDEX] = index(entries, places)
    return texts


def index(entries: list[surface.Entry], places: dict[str, tuple[str, str]]) -> str:
    lines = [NOTE + "# Reference of the Python package\n"]
    lines += ["Every public name. `help()` shows the same texts; [h5part from Python](python.md) is the guide.\n"]
    for page, (title, *_) in PAGES.items():
        lines += [f"## [{title}]({page})\n", "| name | |", "|---|---|"]
        for entry in entries:
            if places[entry.name][0] == page and (entry.name.count(".") == 1 + home_depth(entry)):
                lines.append(f"| {link(entry.name, INDEX, places)} | {inline(summary(entry), INDEX, entry, places)} |")
        lines.append("")
    return "\n".join(lines)


def place(entry: surface.Entry) -> int:
    top = ".".join(entry.name.split(".")[:2])
    return FIRST.index(top) if top in FIRST else len(FIRST)


def home_depth(entry: surface.Entry) -> int:
    return entry.module.count(".")


def home(entry: surface.Entry) -> str:
    """The module under which it is explained."""
    if entry.name.split(".")[1] in dir(errors()):
        return "h5part.errors"
    top = ".".join(entry.name.split(".")[: 2 + home_depth(entry)])
    return MOVED.get(top, entry.module)


def errors() -> Any:
    import h5part.errors

    return type("names", (), {name: 1 for name in h5part.errors.__all__})


def anchors(entries: list[surface.Entry]) -> dict[str, tuple[str, str]]:
    """Page and anchor of each name, as GitHub makes it of a heading."""
    places = {}
    for page, (_, *modules) in PAGES.items():
        for entry in (entry for module in modules for entry in entries if home(entry) == module):
            mark = re.sub(r"[^a-z0-9_ -]", "", heading(entry).lower()).replace(" ", "-")
            places[entry.name] = (page, mark)
    assert len(set(places.values())) == len(places), "two names have the same anchor"
    return places


def heading(entry: surface.Entry) -> str:
    """The class `pool.Memo` is told from the attribute `Pool.memo`."""
    return f"`{entry.name}`" + (", a class" if entry.name == "h5part.pool.Memo" else "")


def summary(entry: surface.Entry) -> str:
    return " ".join(re.split(r"(?<=\.)\s|\n\n", entry.doc, maxsplit=1)[0].split())


def link(name: str, page: str, places: dict[str, tuple[str, str]]) -> str:
    where, mark = places[name]
    return f"[`{name}`]({'' if where == page else where}#{mark})"


def inline(text: str, page: str, entry: surface.Entry, places: dict[str, tuple[str, str]]) -> str:
    """Roles and names as links, code as code."""

    def found(match: re.Match[str]) -> str:
        code, word = match.groups()
        if code:
            return f"`{code}`"
        owner = entry.name
        while owner:
            if f"{owner}.{word}" in places:
                return link(f"{owner}.{word}", page, places)
            owner = owner.rpartition(".")[0]
        if f"h5part.{word}" in places:
            return link(f"h5part.{word}", page, places)
        return link(word, page, places) if word in places else f"`{word}`"

    return MARKED.sub(found, text).replace("|", "\\|" if page == INDEX else "|")


def render(entry: surface.Entry, page: str, places: dict[str, tuple[str, str]]) -> str:
    level = "###" if entry.name.count(".") == 1 + home_depth(entry) else "####"
    lines = [f"{level} {heading(entry)}\n"]
    if shown := signature(entry):
        lines.append(f"```python\n{shown}\n```\n")
    if inspect.isclass(entry.value) and issubclass(entry.value, Exception):
        bases = [inline(f"`{base.__name__}`", page, entry, places) for base in entry.value.__bases__]
        lines.append(f"Base classes: {', '.join(bases)}.\n")
    for section in griffe.Docstring(entry.doc, lineno=1).parse("numpy", warnings=False):
        lines.append(section_text(section, page, entry, places))
    if inspect.isclass(entry.value):
        fields = [f"- `{name}`: {inline(text, page, entry, places)}" for name, text in comments(entry.value)]
        lines += ["**Attributes**\n\n" + "\n".join(fields) + "\n"] if fields else []
    return "\n".join(lines)


def section_text(section: Any, page: str, entry: surface.Entry, places: dict[str, tuple[str, str]]) -> str:
    kind = section.kind.value
    if kind == "text":
        return inline(section.value, page, entry, places) + "\n"
    if kind == "examples":
        return "\n".join(["**Examples**\n", *(example(kind, text) for kind, text in section.value)])
    if kind == "admonition":
        return f"**{section.title}**\n\n{inline(section.value.description, page, entry, places)}\n"
    lines = [f"**{kind.replace('_', ' ').capitalize()}**\n"]
    said: list[tuple[str, str, str]] = []
    for item in section.value:
        name = getattr(item, "name", "") or ""
        kind_of = str(item.annotation) if item.annotation is not None else ""
        if said and name and said[-1][1:] == (kind_of, item.description):
            said[-1] = (f"{said[-1][0]}, {name}", kind_of, item.description)
        else:
            said.append((name, kind_of, item.description))
    for name, kind_of, text in said:
        kind_of = "" if inspect.isfunction(entry.value) and name and kind_of == annotation(entry.value, name) else kind_of
        head = " : ".join(filter(None, [f"`{name}`" if name else "", f"`{kind_of}`" if kind_of else ""]))
        text = " ".join(inline(text, page, entry, places).split())
        lines.append(f"- {head}: {text}" if text else f"- {head}")
    return "\n".join(lines) + "\n"


def annotation(function: Any, name: str) -> str:
    return str(inspect.signature(function).parameters[name].annotation) if name in inspect.signature(function).parameters else ""


def example(kind: Any, text: str) -> str:
    text = text.replace("  # doctest: +SKIP", "")
    return f"```pycon\n{text}\n```\n" if kind.value == "examples" else f"{text}\n"


def signature(entry: surface.Entry) -> str:
    """How it is called; of an attribute its type."""
    name = entry.name.rpartition(".")[2]
    value = entry.value
    if isinstance(value, property):
        kind = inspect.signature(value.fget).return_annotation if value.fget is not None else "object"
        return f"{name}: {kind}"
    if inspect.isclass(value) and (issubclass(value, Exception | enum.Enum) or "Parameters\n" not in entry.doc):
        return ""
    found = inspect.signature(value)
    wanted = [p for p in found.parameters.values() if p.name not in {"self", "cls"}]
    found = found.replace(parameters=wanted) if len(wanted) < len(found.parameters) else found
    text = f"{name}{unquoted(str(found))}"
    if len(text) <= 110:
        return text
    given, _, back = text.partition(") -> ") if ") -> " in text else (text[:-1], "", "")
    arguments = [unquoted(str(p)) for p in found.parameters.values()]
    kinds = [p.kind for p in found.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        arguments.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    if inspect.Parameter.POSITIONAL_ONLY in kinds:
        arguments.insert(len(kinds) - kinds[::-1].index(inspect.Parameter.POSITIONAL_ONLY), "/")
    body = "".join(f"    {argument},\n" for argument in arguments)
    return f"{name}(\n{body})" + (f" -> {back}" if back else "")


def unquoted(text: str) -> str:
    """Annotations are texts in the modules. Functions as defaults have no text of their own."""
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    return re.sub(r"= <[^,]*?>(?=,|\)|$)", "= ...", text)


def comments(cls: type) -> Iterator[tuple[str, str]]:
    """Attributes and the comments above them, which begin with '#:'."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return
    for text, name in re.findall(r"((?:^ +#: .*\n)+) +(?:self\.)?(\w+)\b", source, re.MULTILINE):
        yield name, " ".join(line.strip().removeprefix("#: ") for line in text.splitlines())


def main() -> None:
    for name, text in pages().items():
        Path(DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
