"""Has mbe_automation save ground truth through h5part."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._ground_truth import GroundTruth, Quantity
from ._writer import Durability
from .errors import Mismatch, Unsupported

_MODULE, _FUNCTION = "mbe_automation.storage.core", "_save_only"
_PARAMETERS = ["dataset", "key", "structure", "quantities"]
_GROUND_TRUTH = "ground_truth"
_COMPLETED, _UNDEFINED = 0, 1

Save: TypeAlias = Callable[..., None]
Values: TypeAlias = npt.NDArray[np.float64]
_original: Save | None = None


def patch(*, durability: Durability = "power", timeout: float = 300.0, trust_locks: bool = False) -> None:
    """Has ``structure.save(file, key, only="ground_truth")`` of mbe_automation save through h5part.

    Frames that are completed are written: those that the file does not have yet, and those whose values differ. Of the
    other frames only the status is written. Everything else is saved by mbe_automation as before. Frames of a method
    without statuses count as completed where none of their values is NaN.

    Call it once in each process that saves, after a fork or in the workers of a pool, too. A second call sets other
    options.

    **Concurrency.** Any number of processes may save at the same time, beside processes that use mbe_automation as it
    is. **Atomic**: each frame. **Survives**: as :meth:`h5part.mbe.GroundTruth.save`.

    Parameters
    ----------
    durability : {"power", "process"}
        What a saved frame survives: a loss of power, or the death of any process.
    timeout
        Seconds to wait for each lock.
    trust_locks
        Write even where the locks of the file system may not reach every host.

    Raises
    ------
    ImportError
        mbe_automation is not installed.
    Unsupported
        This version of mbe_automation saves in another way.

    Examples
    --------
    >>> import h5part.mbe
    >>> h5part.mbe.patch()  # doctest: +SKIP
    >>> structure.save("urea.hdf5", "training/urea", only="ground_truth")  # doctest: +SKIP
    """
    global _original
    core = importlib.import_module(_MODULE)
    original = _original or getattr(core, _FUNCTION, None)
    if original is None or list(inspect.signature(original).parameters) != _PARAMETERS:
        text = f"this version of mbe_automation has no {_MODULE}.{_FUNCTION}({', '.join(_PARAMETERS)})"
        raise Unsupported(text, code=10, operation="patch mbe_automation")
    _original = original
    setattr(core, _FUNCTION, _SaveOnly(original, durability, timeout, trust_locks))


def unpatch() -> None:
    """Undoes :func:`patch`: mbe_automation saves by itself again. Does nothing where nothing was patched."""
    global _original
    if _original is not None:
        setattr(importlib.import_module(_MODULE), _FUNCTION, _original)
        _original = None


class _SaveOnly:
    """Takes the place of mbe_automation's function."""

    def __init__(self, original: Save, durability: Durability, timeout: float, trust_locks: bool) -> None:
        self._original = original
        self._durability: Durability = durability
        self._timeout = timeout
        self._trust_locks = trust_locks

    def __call__(self, dataset: str, key: str, structure: Any, quantities: Sequence[str]) -> None:
        others = [quantity for quantity in quantities if quantity != _GROUND_TRUTH]
        if others:
            self._original(dataset, key, structure, others)
        if _GROUND_TRUTH not in quantities:
            return
        truth = structure.ground_truth
        if truth is None:
            raise RuntimeError("the structure has no ground truth to save")
        for method in sorted({*truth.energies, *truth.forces}):
            self._save(dataset, key, int(structure.n_frames), truth, method)

    def _save(self, dataset: str, key: str, frames: int, truth: Any, method: str) -> None:
        stored = GroundTruth(dataset, key, method, timeout=self._timeout, trust_locks=self._trust_locks)
        if stored.frames != frames:
            text = f"the structure to be saved has {frames} frames, '{key}' in the file has {stored.frames}"
            raise Mismatch(text, kind="ShapeMismatch", code=4, path=dataset)
        values = _values(truth, method, frames, stored.atoms)
        stored.prepare(list(values))
        status = _status(truth.calculation_status.get(method), values)
        changed = _changed(stored, status, values)
        for chosen, overwrite in (((status != _UNDEFINED) & ~changed, False), (changed, True)):
            rows = np.flatnonzero(chosen)
            if len(rows):
                parts = {quantity: array[rows] for quantity, array in values.items()}
                options: dict[str, Any] = {"overwrite": overwrite, "durability": self._durability}
                stored.save(rows, status=status[rows], energies=parts.get("energies"), forces=parts.get("forces"), **options)


def _values(truth: Any, method: str, frames: int, atoms: int) -> dict[Quantity, Values]:
    """Arrays of shape (frames, values)."""
    found: dict[Quantity, Values] = {}
    quantities: tuple[tuple[Quantity, Any, int], ...] = (("energies", truth.energies, 1), ("forces", truth.forces, 3 * atoms))
    for quantity, given, size in quantities:
        if method in given:
            array = np.asarray(given[method], np.float64)
            if array.size != frames * size:
                text = f"{quantity} of '{method}' have shape {array.shape}, for {frames} frames of {atoms} atoms"
                raise Mismatch(text, kind="ShapeMismatch", code=4)
            found[quantity] = array.reshape(frames, size)
    return found


def _status(given: Any, values: dict[Quantity, Values]) -> npt.NDArray[np.int64]:
    if given is not None:
        return np.atleast_1d(np.asarray(given, np.int64))
    there = np.logical_and.reduce([~np.isnan(array).any(axis=1) for array in values.values()])
    return np.where(there, _COMPLETED, _UNDEFINED)


def _changed(stored: GroundTruth, status: npt.NDArray[np.int64], values: dict[Quantity, Values]) -> npt.NDArray[np.bool_]:
    """Frames that are completed here and in the file, with other values."""
    found = stored.read(quantities=list(values))
    differs = np.zeros(len(status), bool)
    for quantity, array in values.items():
        old = getattr(found, quantity).reshape(array.shape)
        # A value that a completed frame lacks in the file is no other value.
        differs |= ~((old == array) | np.isnan(old)).all(axis=1)
    differs &= (status == _COMPLETED) & (found.status == _COMPLETED)
    return differs
