"""emcee, schwimmbad and pyTransC with the pool."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import sampler_tasks as densities

import h5part.pytransc
from h5part import Pool
from h5part.pool import DictMemo

np = pytest.importorskip("numpy")


def need(name: str) -> Any:
    """A package of PyPI; says so if it is missing."""
    try:
        return __import__(name)
    except ImportError as e:
        message = f"NOT TESTED WITH {name.upper()}: {e}"
        pytest.skip(message)


def emcee_chain(pool: Any) -> Any:
    emcee = need("emcee")
    np.random.seed(1)
    start = np.random.randn(16, 3)
    sampler = emcee.EnsembleSampler(16, 3, densities.log_prob, pool=pool)
    sampler.run_mcmc(start, 20)
    return sampler.get_chain()


def test_emcee_has_the_same_chain_as_without_a_pool() -> None:
    expected = emcee_chain(None)
    memo = DictMemo()
    for pool in (Pool(2), Pool(0), Pool(2, context="fork"), Pool(2, memo=memo)):
        with pool:
            np.testing.assert_array_equal(emcee_chain(pool), expected)
    assert memo.values
    with Pool(1, memo=memo) as pool:
        count = len(memo.values)
        np.testing.assert_array_equal(emcee_chain(pool), expected)
        assert len(memo.values) == count, "the second chain computes nothing"


def per_state(tmp_path: Path, pools: Any, density: Any = densities.log_posterior, **kwargs: Any) -> Any:
    run_mcmc_per_state = importlib.import_module("pytransc.samplers.per_state").run_mcmc_per_state
    rng = np.random.default_rng(1)
    return run_mcmc_per_state(
        n_states=2,
        n_dims=[1, 2],
        n_walkers=8,
        n_steps=20,
        pos=[rng.normal(size=(8, 1)), rng.normal(size=(8, 2))],
        log_posterior=density,
        state_pool=pools,
        verbose=False,
        **kwargs,
    )


def noted(folder: Path) -> list[tuple[int, int]]:
    found = []
    for path in folder.glob("pid-*"):
        _, pid, parent = path.name.split("-")
        found.append((int(pid), int(parent)))
        path.unlink()
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pytransc_on_two_levels_with_a_worker_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pytransc")
    monkeypatch.setenv("TEST_FOLDER", str(tmp_path))
    runs = []
    for inner, die in ((None, False), (2, False), (2, True)):
        if die:
            (tmp_path / "die").touch()
        with Pool(2, inner=inner, seed=5) as pool:
            runs.append(per_state(tmp_path, h5part.pytransc.Pools(pool)))
            pids = noted(tmp_path)
            outer = set(pool.pids())
        if inner is None:
            assert all(parent == os.getpid() for _, parent in pids)
        else:
            assert pids and all(pid not in outer and parent in outer for pid, parent in pids), "walkers are on level 2"
    assert (tmp_path / "died").exists()
    for samples, log_posteriors in runs[1:]:
        for got, expected in zip(samples + log_posteriors, runs[0][0] + runs[0][1], strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pytransc_forward_pool_and_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pytransc")
    emcee = need("emcee")
    need("h5py")
    monkeypatch.setenv("TEST_FOLDER", str(tmp_path))
    backends = {n: emcee.backends.HDFBackend(str(tmp_path / f"state{n}.h5")) for n in range(2)}
    with Pool(2, inner=1, seed=1) as pool:
        pools = h5part.pytransc.Pools(pool, forward=True, backends=backends)
        samples, _ = per_state(tmp_path, pools, densities.log_posterior_of_forward)
        outer = set(pool.pids())
        assert all(pid not in outer and parent in outer for pid, parent in noted(tmp_path))
    for state in range(2):
        np.testing.assert_array_equal(backends[state].get_chain(flat=True), samples[state])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pytransc_pools_directly(tmp_path: Path) -> None:
    """Without a state pool pyTransC takes any pool for walkers."""
    need("pytransc")
    with Pool(2) as pool:
        np.random.seed(3)
        with_pool, _ = per_state(tmp_path, None, emcee_pool=pool)
    np.random.seed(3)
    without, _ = per_state(tmp_path, None)
    for got, expected in zip(with_pool, without, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pytransc_ensemble_resampler_with_a_worker_killed(tmp_path: Path) -> None:
    need("pytransc")
    module = importlib.import_module("pytransc.samplers.ensemble_resampler")
    rng = np.random.default_rng(2)
    ensembles = [rng.normal(size=50) for _ in range(2)]
    visits = []
    for workers, kill in ((1, False), (2, True)):
        with Pool(workers, seed=9) as pool:
            pools = h5part.pytransc.Pools(pool)
            list(pools.map(abs, range(4)))
            if kill:
                os.kill(pool.pids()[0], signal.SIGKILL)
            chain = module.run_ensemble_resampler(
                n_walkers=4,
                n_steps=50,
                n_states=2,
                n_dims=[1, 2],
                log_posterior_ens=ensembles,
                log_pseudo_prior_ens=[e * 0 for e in ensembles],
                seed=1,
                walker_pool=pools,
                progress=False,
            )
            visits.append(chain.state_chain)
    np.testing.assert_array_equal(visits[0], visits[1])


def test_schwimmbad_code_runs_with_the_pool() -> None:
    schwimmbad = need("schwimmbad")
    results = []
    for pool in (schwimmbad.SerialPool(), Pool(2)):
        with pool:
            assert pool.is_master()
            seen: list[float] = []
            values = list(pool.map(densities.log_prob, [np.arange(3.0) * n for n in range(5)], callback=seen.append))
            results.append((values, seen, pool.size if isinstance(pool, Pool) else 0))
    assert results[0][:2] == results[1][:2]
