"""`h5part.mbe.patch`: against a module of the shape of mbe_automation, and against the real one where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import h5part
import h5part.mbe

METHOD, FRAMES, ATOMS = "r2scan-d4/def2-tzvp", 6, 2
KEY = "training/urea"
# What the patch relies on: the name, parameters and fields of mbe_automation.storage.core.
CORE = '''
from dataclasses import dataclass, field

import h5py

CALLS = []


@dataclass
class GroundTruth:
    energies: dict = field(default_factory=dict)
    forces: dict = field(default_factory=dict)
    calculation_status: dict = field(default_factory=dict)


@dataclass
class Structure:
    positions: object
    atomic_numbers: object
    masses: object
    cell_vectors: object
    n_frames: int
    n_atoms: int
    ground_truth: GroundTruth = None

    def save(self, dataset, key, only=None):
        only = [only] if isinstance(only, str) else only
        if only is not None:
            _save_only(dataset=dataset, key=key, structure=self, quantities=only)
            return
        with h5py.File(dataset, "a") as file:
            group = file.require_group(key)
            group["positions (\\u212b)"] = self.positions
            group["atomic_numbers"] = self.atomic_numbers
            group["masses (u)"] = self.masses
            group.attrs.update(
                dataclass="Structure", n_frames=self.n_frames, n_atoms=self.n_atoms, periodic=False,
                feature_vectors_type="none",
            )


def _save_only(dataset, key, structure, quantities):
    CALLS.append(list(quantities))
'''


@pytest.fixture(params=["stand-in", "real"])
def core(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of mbe_automation that saves."""
    if request.param == "real":
        try:
            module = importlib.import_module("mbe_automation.storage.core")
        except Exception as error:  # it needs much that may be missing
            pytest.skip(f"PATCH NOT TESTED WITH THE REAL PACKAGE: mbe_automation cannot be imported: {error!r}")
    else:
        folder = tmp_path / "packages/mbe_automation/storage"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").touch()
        (folder / "__init__.py").touch()
        (folder / "core.py").write_text(CORE)
        for name in [name for name in sys.modules if name.split(".")[0] == "mbe_automation"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(folder.parents[1])
        module = importlib.import_module("mbe_automation.storage.core")
    try:
        yield module
    finally:
        h5part.mbe.unpatch()
        if request.param == "stand-in":
            for name in [name for name in sys.modules if name.split(".")[0] == "mbe_automation"]:
                del sys.modules[name]


def structure(core: Any, status: Any = None, shift: float = 0.0) -> Any:
    """Frame i has energy SHIFT + i."""
    numbers = np.arange(FRAMES) + shift
    truth = core.GroundTruth(
        energies={METHOD: numbers.copy()},
        forces={METHOD: np.ones((FRAMES, ATOMS, 3)) * numbers[:, None, None]},
        calculation_status={} if status is None else {METHOD: np.asarray(status, np.int64)},
    )
    positions = np.random.default_rng(1).random((FRAMES, ATOMS, 3))
    return core.Structure(
        positions=positions,
        atomic_numbers=np.array([1, 8]),
        masses=np.array([1.008, 15.999]),
        cell_vectors=None,
        n_frames=FRAMES,
        n_atoms=ATOMS,
        ground_truth=truth,
    )


@pytest.fixture
def file(core: Any, tmp_path: Path) -> str:
    """A structure without ground truth."""
    path = str(tmp_path / "truth.hdf5")
    empty = structure(core)
    empty.ground_truth = None
    empty.save(path, KEY)
    return path


def test_a_save_goes_through_h5part(core: Any, file: str) -> None:
    h5part.mbe.patch()
    structure(core, [0, 1, 2, 0, 1, 3]).save(file, KEY, only="ground_truth")
    read = h5part.mbe.ground_truth(file, KEY, METHOD).read()
    assert read.status.tolist() == [0, 1, 2, 0, 1, 3]
    np.testing.assert_array_equal(read.energies, [0, np.nan, np.nan, 3, np.nan, np.nan])
    assert h5part.open(file)[f"{KEY}/ground_truth"].has_stamps
    # The others, and one that was completed, with another value.
    structure(core, [1, 0, 0, 0, 0, 0], shift=0.5).save(file, KEY, only=["ground_truth"])
    read = h5part.mbe.ground_truth(file, KEY, METHOD).read()
    assert read.status.tolist() == [0] * 6
    np.testing.assert_array_equal(read.energies, [0, 1.5, 2.5, 3.5, 4.5, 5.5])
    assert read.forces is not None
    np.testing.assert_array_equal(read.forces[:, 1, 2], read.energies)
    with h5py.File(file) as h5:
        assert list(h5[f"{KEY}/ground_truth"].attrs["levels_of_theory"]) == [METHOD]
    assert h5part.open(file).verify()


def test_what_is_not_ground_truth_is_saved_as_before(core: Any, file: str) -> None:
    if not hasattr(core, "CALLS"):
        pytest.skip("only the stand-in counts calls")
    original = core._save_only
    h5part.mbe.patch()
    h5part.mbe.patch(durability="process")
    structure(core, [0] * FRAMES).save(file, KEY, only=["feature_vectors", "ground_truth"])
    assert core.CALLS == [["feature_vectors"]]
    assert h5part.mbe.ground_truth(file, KEY, METHOD).status()["COMPLETED"] == FRAMES
    h5part.mbe.unpatch()
    assert core._save_only is original
    structure(core, [0] * FRAMES).save(file, KEY, only="ground_truth")
    assert core.CALLS == [["feature_vectors"], ["ground_truth"]]


def test_a_method_without_statuses(core: Any, file: str) -> None:
    h5part.mbe.patch()
    partial = structure(core)
    partial.ground_truth.energies[METHOD][2] = np.nan
    del partial.ground_truth.forces[METHOD]
    partial.save(file, KEY, only="ground_truth")
    read = h5part.mbe.ground_truth(file, KEY, METHOD).read()
    assert read.status.tolist() == [0, 0, 1, 0, 0, 0] and read.forces is None


def test_bad_input(core: Any, file: str) -> None:
    h5part.mbe.patch()
    before = Path(file).read_bytes()
    few = structure(core, [0] * FRAMES)
    few.n_frames = 5
    with pytest.raises(h5part.Mismatch, match="5 frames"):
        few.save(file, KEY, only="ground_truth")
    wrong = structure(core, [0] * FRAMES)
    wrong.ground_truth.forces[METHOD] = np.zeros((FRAMES, 3, 3))
    with pytest.raises(h5part.Mismatch, match="forces"):
        wrong.save(file, KEY, only="ground_truth")
    without = structure(core)
    without.ground_truth = None
    with pytest.raises(RuntimeError, match="no ground truth"):
        without.save(file, KEY, only="ground_truth")
    with pytest.raises(h5part.Error):
        structure(core, [0] * FRAMES).save(file, "nothing", only="ground_truth")
    assert Path(file).read_bytes() == before


def save_mine(file: str, packages: list[str], part: int) -> None:
    """In a worker: the frames of a share, one save each."""
    sys.path[:0] = packages
    module = importlib.import_module("mbe_automation.storage.core")
    h5part.mbe.patch(durability="process")
    for frame in range(part, FRAMES, 2):
        status = np.ones(FRAMES)
        status[frame] = 0
        structure(module, status).save(file, KEY, only="ground_truth")


def test_two_processes(core: Any, file: str) -> None:
    context = multiprocessing.get_context("spawn")
    packages = [path for path in sys.path if (Path(path) / "mbe_automation").exists()]
    workers = [context.Process(target=save_mine, args=(file, packages, part)) for part in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    read = h5part.mbe.ground_truth(file, KEY, METHOD).read()
    assert read.status.tolist() == [0] * FRAMES
    np.testing.assert_array_equal(read.energies, np.arange(FRAMES))


def test_another_version_is_refused(core: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_save_only", lambda dataset, key, structure: None)
    with pytest.raises(h5part.Unsupported, match="no mbe_automation.storage.core._save_only"):
        h5part.mbe.patch()
    monkeypatch.delattr(core, "_save_only")
    with pytest.raises(h5part.Unsupported):
        h5part.mbe.patch()
