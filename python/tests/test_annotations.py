"""Types: of the package, of its stubs, of the examples and of the scripts in the pages."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pages
import pytest

HERE = Path(__file__).parents[1]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)


def need(tool: str) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"TYPES NOT TESTED: {tool} is not installed")


def test_mypy_is_strict(tmp_path: Path) -> None:
    need("mypy")
    done = run(sys.executable, "-m", "mypy", "h5part", "examples", *pages.write(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_are_those_of_the_extension() -> None:
    need("mypy")
    options = ["--mypy-config-file", "pyproject.toml", "--allowlist", "stubtest-allowlist.txt"]
    # -P: of the installed package, not of the sources beside this folder, which have no extension.
    done = run(sys.executable, "-P", "-m", "mypy.stubtest", "h5part", *options, "--ignore-unused-allowlist")
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright(tmp_path: Path) -> None:
    need("pyright")
    program = [sys.executable, "-m", "pyright"]
    if run(*program, "--version").returncode != 0:
        pytest.skip("TYPES NOT TESTED: pyright does not start; it needs node (pip install 'pyright[nodejs]')")
    options = ["--pythonpath", sys.executable, "--outputjson"]
    done = run(*program, *options, "h5part", "examples", *pages.write(tmp_path))
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] > 40
    bad = [f"{d['file']}:{d['range']['start']['line'] + 1}: {d['message']}" for d in found["generalDiagnostics"]]
    assert not bad, "\n".join(bad)
