"""Runs every script of docs/python-recipes.md, with the real packages."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from conftest import PATIENCE_S

SCRIPTS = pages.recipes()
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


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "simulate"])
def test_recipe(name: str, tmp_path: Path) -> None:
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"RECIPE NOT TESTED: {package} is not installed")
    (tmp_path / "simulate.py").write_text(SCRIPTS["simulate"])
    (tmp_path / "script.py").write_text(SCRIPTS[name])
    for expected in (FIRST[name], AGAIN.get(name, "0 rows")):
        done = subprocess.run(
            command(name), cwd=tmp_path, capture_output=True, text=True, timeout=3 * PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
        assert f"computed {expected}" in done.stdout, done.stdout + done.stderr
    if "simulate" in SCRIPTS[name]:
        check = (
            "import h5part, numpy as np; n = np.arange(100); "
            "b = h5part.open('results.h5')['run'].read('energy', 'forces'); "
            "assert b.mask.all() and (b['energy'] == np.sqrt(n)).all() and (b['forces'][:, 0, 0] == n).all()"
        )
        subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True)


def test_elements_of_an_array_share_the_rows(tmp_path: Path) -> None:
    (tmp_path / "simulate.py").write_text(SCRIPTS["simulate"])
    (tmp_path / "script.py").write_text(SCRIPTS["SLURM job array"])
    for element in range(4):
        slurm = {"ID": element, "MIN": 0, "MAX": 3, "STEP": 1, "COUNT": 4}
        env = os.environ | {f"SLURM_ARRAY_TASK_{key}": str(value) for key, value in slurm.items()}
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.stdout == "computed 25 rows\n", done.stderr
