"""Runs every script of docs/python-recipes.md, with the real packages."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE_S

import h5part

PAGE = Path(__file__).parents[2] / "docs/python-recipes.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, str]:
    """The first script below each heading; that of the page itself is the module `simulate`."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    found = {"simulate": parts[0]}
    found |= dict(zip(parts[1::2], parts[2::2], strict=True))
    scripts = {}
    for name, text in found.items():
        blocks = BLOCK.findall(text)
        assert len(blocks) == 1, f"{name} has {len(blocks)} scripts"
        scripts[name] = blocks[0]
    return scripts


SCRIPTS = sections() if PAGE.exists() else {}
PACKAGES = {
    "dask": "dask",
    "joblib": "joblib",
    "submitit": "submitit",
    "mpi4py.futures": "mpi4py",
    "emcee": "emcee",
    "pyTransC": "pytransc",
}
# What a second run says.
AGAIN = {"emcee": "10 steps", "pyTransC": "2 states", "OpenQuake": "10 letters"}
FIRST = {name: AGAIN.get(name, "100 rows") for name in SCRIPTS}


def command(name: str) -> list[str]:
    if name != "mpi4py.futures":
        return [sys.executable, "script.py"]
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("RECIPE NOT TESTED: there is no mpiexec (pip install mpich)")
    return [str(mpiexec), "-n", "3", sys.executable, "-m", "mpi4py.futures", "script.py"]


def environment() -> dict[str, str]:
    """With a stand-in for the engine, where it is not built."""
    path = [os.environ.get("PYTHONPATH", "")]
    if not hasattr(h5part, "create"):
        path.insert(0, str(Path(__file__).with_name("fake")))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "simulate"])
def test_recipe(name: str, tmp_path: Path) -> None:
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"RECIPE NOT TESTED: {package} is not installed")
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("RECIPE NOT TESTED: numpy is not installed")
    (tmp_path / "simulate.py").write_text(SCRIPTS["simulate"])
    (tmp_path / "script.py").write_text(SCRIPTS[name])
    for expected in (FIRST[name], AGAIN.get(name, "0 rows")):
        done = subprocess.run(
            command(name), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=3 * PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
        assert f"computed {expected}" in done.stdout, done.stdout + done.stderr
    if "simulate" in SCRIPTS[name]:
        check = (
            "import h5part, numpy as np; n = np.arange(100); "
            "b = h5part.open('results.h5')['run'].read('energy', 'forces'); "
            "assert b.mask.all() and (b['energy'] == np.sqrt(n)).all() and (b['forces'][:, 0, 0] == n).all()"
        )
        subprocess.run([sys.executable, "-c", check], cwd=tmp_path, env=environment(), check=True)


def test_elements_of_an_array_share_the_rows(tmp_path: Path) -> None:
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("RECIPE NOT TESTED: numpy is not installed")
    (tmp_path / "simulate.py").write_text(SCRIPTS["simulate"])
    (tmp_path / "script.py").write_text(SCRIPTS["SLURM job array"])
    for element in range(4):
        slurm = {"ID": element, "MIN": 0, "MAX": 3, "STEP": 1, "COUNT": 4}
        env = environment() | {f"SLURM_ARRAY_TASK_{key}": str(value) for key, value in slurm.items()}
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.stdout == "computed 25 rows\n", done.stderr
