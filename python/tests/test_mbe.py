"""Ground truth of mbe_automation."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5part
from h5part.mbe import FrameStatus, ground_truth

KEY, METHOD = "training/urea", "r2scan-d4/def2-tzvp"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Four frames of two atoms."""
    xyz = tmp_path / "frames.xyz"
    frame = "2\nstep\nH 0 0 0\nH 0 0 {}\n"
    xyz.write_text("".join(frame.format(1 + k / 10) for k in range(4)))
    path = str(tmp_path / "truth.h5")
    subprocess.run([h5part.program(), "mbe", "create", path, KEY, "--xyz", str(xyz)], check=True, capture_output=True)
    return path


def test_a_session(file: str) -> None:
    truth = ground_truth(file, KEY, METHOD)
    assert truth.frames == 4 and truth.atoms == 2
    assert truth.prepare() == "made" and truth.prepare() == "already there"
    assert truth.todo().tolist() == [0, 1, 2, 3] and truth.todo(shard=(1, 2)).tolist() == [2, 3]
    saved = truth.save([0, 1], energies=[-1.0, -2.0], forces=np.ones((2, 2, 3)))
    assert (saved.completed, saved.marked, saved.left) == (2, 0, 0)
    assert truth.save(2, status=FrameStatus.FAILED).marked == 1
    assert truth.save(0, energies=[7.0], forces=np.zeros((1, 2, 3))).left == 1
    read = pickle.loads(pickle.dumps(truth)).read()
    assert read.status.tolist() == [0, 0, 3, 1]
    np.testing.assert_array_equal(read.energies, [-1.0, -2.0, np.nan, np.nan])
    assert read.forces is not None and read.forces.shape == (4, 2, 3) and read.forces[0].sum() == 6
    assert truth.status() == {"COMPLETED": 2, "UNDEFINED": 1, "SCF_NOT_CONVERGED": 0, "FAILED": 1}
    assert truth.todo().tolist() == [2, 3]
    with h5py.File(file) as h5:
        assert len(h5[f"{KEY}/ground_truth"]) >= 3
    with pytest.raises(h5part.Mismatch):
        truth.save(3, energies=[np.nan], forces=np.zeros((1, 2, 3)))
    with pytest.raises(h5part.Error):
        ground_truth(file, "nothing", METHOD)
    assert h5part.open(file).verify()
