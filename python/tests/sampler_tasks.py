"""Densities that the tests of samplers use."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import Any


def log_prob(x: Any) -> float:
    return float(-0.5 * (x @ x))


def log_posterior(x: Any, state: int) -> float:
    _note()
    return float(-0.5 * (x @ x) / (state + 1))


def log_posterior_of_forward(x: Any, state: int) -> float:
    """Computes its parts in the forward pool."""
    pool = importlib.import_module("pytransc.utils.forward_context").get_forward_pool()
    assert pool is not None
    return float(-0.5 * sum(pool.map(square_noted, x)))


def square_noted(x: float) -> float:
    _note()
    return x * x


def _note() -> None:
    """Notes which processes compute, and kills the first one that is asked to die."""
    folder = os.environ.get("TEST_FOLDER")
    if not folder:
        return
    Path(folder, f"pid-{os.getpid()}-{os.getppid()}").touch()
    die = Path(folder, "die")
    if die.exists():
        try:
            die.rename(Path(folder, "died"))
        except OSError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
