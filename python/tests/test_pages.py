"""Runs docs/python.md as a reader would: its scripts in order, in one folder; what they print is compared."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pages
import pytest

PAGE = pages.DOCS / "python.md"


def expected(code: str) -> list[str]:
    """Lines that begin with '# ' at the left margin, and follow code."""
    return [line[2:] for line in code.splitlines() if line.startswith("# ")]


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SLURM_"):
            monkeypatch.delenv(name)
    names: dict[str, object] = {"__name__": "page"}
    blocks = pages.guide()
    assert len(blocks) > 15
    for given, code in blocks:
        missing = [name for name in given.get("needs", "").split(",") if name and importlib.util.find_spec(name) is None]
        if missing:
            warnings.warn(f"NOT TESTED: {', '.join(missing)} is not installed", stacklevel=1)
            continue
        if "file" in given:
            Path(given["file"]).write_text(code)
            done = subprocess.run([sys.executable, given["file"]], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            said = done.stdout
        else:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, str(PAGE), "exec"), names)  # the page itself
            said = out.getvalue()
        assert words(said) == words("\n".join(expected(code))), code
