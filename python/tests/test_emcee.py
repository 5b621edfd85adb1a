"""The backend of emcee, with the real package."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h5part

emcee = pytest.importorskip("emcee", reason="emcee is not installed: its backend is not tested")
import h5part.emcee  # noqa: E402

WALKERS, NDIM = 32, 3


def normal(x: np.ndarray) -> float:
    return float(-0.5 * np.sum(x**2))


def with_blobs(x: np.ndarray) -> tuple[float, float, int]:
    return normal(x), float(x[0]), 3


def run(backend: Any, steps: int, blobs: bool = False, dtype: Any = None) -> Any:
    np.random.seed(42)
    start = np.random.randn(WALKERS, NDIM)
    function = with_blobs if blobs else normal
    sampler = emcee.EnsembleSampler(WALKERS, NDIM, function, backend=backend, blobs_dtype=dtype)
    sampler.run_mcmc(start, steps)
    return sampler


@pytest.mark.parametrize("dtype", [None, [("a", float), ("b", int)]])
@pytest.mark.parametrize("blobs", [False, True])
def test_the_chain_is_that_of_the_backend_in_memory(path: str, blobs: bool, dtype: Any) -> None:
    if dtype and not blobs:
        pytest.skip("a type of blobs needs blobs")
    ours = h5part.emcee.Backend(path)
    here, there = run(emcee.backends.Backend(), 20, blobs, dtype), run(ours, 20, blobs, dtype)
    for name in ("chain", "log_prob", "blobs"):
        for options in ({}, {"flat": True}, {"thin": 3, "discard": 4}):
            expected, found = getattr(here, f"get_{name}")(**options), getattr(there, f"get_{name}")(**options)
            assert (expected is None) == (found is None)
            if expected is not None:
                np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(here.backend.accepted, ours.accepted)
    np.testing.assert_array_equal(here.acceptance_fraction, there.acceptance_fraction)
    last, expected = ours.get_last_sample(), here.backend.get_last_sample()
    np.testing.assert_array_equal(last.coords, expected.coords)
    for found, wanted in zip(last.random_state[1:], expected.random_state[1:], strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert h5part.open(path).verify()


def test_a_run_goes_on_where_another_ended(path: str) -> None:
    whole = run(emcee.backends.Backend(), 30)
    run(h5part.emcee.Backend(path), 12)
    again = h5part.emcee.Backend(path)
    assert again.initialized and again.iteration == 12 and again.shape == (WALKERS, NDIM)
    sampler = emcee.EnsembleSampler(WALKERS, NDIM, normal, backend=again)
    sampler.run_mcmc(None, 18)
    np.testing.assert_array_equal(sampler.get_chain(), whole.get_chain())
    np.testing.assert_array_equal(again.accepted, whole.backend.accepted)


def test_a_killed_run_goes_on_to_the_same_chain(path: str) -> None:
    code = textwrap.dedent(
        """
        import sys
        import numpy as np, emcee, h5part.emcee
        np.random.seed(42)
        start = np.random.randn(32, 3)
        def normal(x): return float(-0.5 * np.sum(x**2))
        backend = h5part.emcee.Backend(sys.argv[1], durability="process")
        sampler = emcee.EnsembleSampler(32, 3, normal, backend=backend)
        sampler.run_mcmc(start, 100000)
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", code, path])
    backend = h5part.emcee.Backend(path, read_only=True)
    while not (os.path.exists(path) and backend.initialized and backend.iteration > 20):
        assert worker.poll() is None
        time.sleep(0.01)
    # It is read while it runs.
    assert backend.get_chain().shape[1:] == (WALKERS, NDIM)
    worker.kill()
    worker.wait()
    steps = backend.iteration
    ours = h5part.emcee.Backend(path)
    sampler = emcee.EnsembleSampler(WALKERS, NDIM, normal, backend=ours)
    sampler.run_mcmc(None, 10)
    whole = run(emcee.backends.Backend(), steps + 10)
    np.testing.assert_array_equal(sampler.get_chain(), whole.get_chain())
    assert h5part.open(path).verify()


def test_chains_have_names_and_are_begun_anew(path: str) -> None:
    first, second = h5part.emcee.Backend(path, name="a"), h5part.emcee.Backend(path, name="runs/b")
    run(first, 5)
    run(second, 7)
    assert (first.iteration, second.iteration) == (5, 7)
    first.reset(WALKERS, NDIM)
    assert first.iteration == 0
    with pytest.raises(AttributeError):
        first.get_chain()
    run(first, 3)
    assert h5part.emcee.Backend(path, name="a").iteration == 3
    with pytest.raises(h5part.BadRequest, match="another name"):
        first.reset(WALKERS + 2, NDIM)
    assert not h5part.emcee.Backend(path, name="c").initialized


def test_the_backend_of_h5py_reads_what_is_exported(path: str, tmp_path: Path) -> None:
    ours = h5part.emcee.Backend(path)
    run(ours, 8, blobs=True)
    ours.export(tmp_path / "out.h5", name="mcmc")
    theirs = emcee.backends.HDFBackend(str(tmp_path / "out.h5"))
    for name in ("get_chain", "get_log_prob", "get_blobs"):
        np.testing.assert_array_equal(getattr(theirs, name)(), getattr(ours, name)())
    sampler = emcee.EnsembleSampler(WALKERS, NDIM, with_blobs, backend=theirs)
    sampler.run_mcmc(None, 2)
    assert theirs.iteration == 10


def test_what_is_refused(path: str) -> None:
    run(h5part.emcee.Backend(path), 3)
    with pytest.raises(RuntimeError, match="read-only"):
        run(h5part.emcee.Backend(path, read_only=True), 3)
    with pytest.raises(ValueError, match="blobs"):
        emcee.EnsembleSampler(WALKERS, NDIM, with_blobs, backend=h5part.emcee.Backend(path)).run_mcmc(None, 3)
    again = pickle.loads(pickle.dumps(h5part.emcee.Backend(path)))
    assert again.iteration == 3
