"""The reference pages in docs/ are those of the docstrings."""

from __future__ import annotations

import importlib.util
import re

import pages
import pytest


def test_the_pages_are_current() -> None:
    for package in ("griffe", "emcee"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"REFERENCE PAGES NOT TESTED: {package} is not installed")
    import reference

    made = reference.pages()
    for name, text in made.items():
        assert (pages.DOCS / name).read_text() == text, f"{name} is old: run python python/tests/reference.py"
        for page, mark in re.findall(r"\]\(([\w-]*(?:\.md)?)#([\w-]+)\)", text):
            assert mark in anchors(made[page or name]), f"{name}: no #{mark} in {page or name}"


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9_-]", "", heading.lower().replace(" ", "-")) for heading in headings}
