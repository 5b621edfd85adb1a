"""Ground truth of mbe_automation: energies and forces of frames, saved by many processes at once.

Python goes on reading and writing the file as before, under the lock that both sides share.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _h5part
from ._rows import resolve
from ._store import StrPath
from ._writer import Durability
from .slurm import shard as _slurm_shard

__all__ = ["FrameStatus", "Frames", "GroundTruth", "Saved", "ground_truth"]

Quantity = Literal["energies", "forces"]


class FrameStatus(enum.IntEnum):
    """What came of computing a frame, as it is in the file."""

    COMPLETED = 0
    UNDEFINED = 1
    SCF_NOT_CONVERGED = 2
    FAILED = 3


@dataclass(frozen=True)
class Saved:
    """What became of frames."""

    #: Frames whose values were written.
    completed: int
    #: Frames of which only the status was written.
    marked: int
    #: Frames that were left as they are: completed before, or UNDEFINED now.
    left: int


@dataclass(frozen=True)
class Frames:
    """Frames that were read. Of frames that are not COMPLETED values are NaN."""

    #: int64 (frames).
    status: npt.NDArray[np.int64]
    #: float64 (frames), in eV an atom.
    energies: npt.NDArray[np.float64] | None
    #: float64 (frames, atoms, 3), in eV/Å.
    forces: npt.NDArray[np.float64] | None


def ground_truth(
    path: StrPath, key: str, method: str, *, timeout: float = 300.0, trust_locks: bool = False
) -> GroundTruth:
    """The ground truth of a structure at a level of theory.

    Parameters
    ----------
    path
        The HDF5 file.
    key
        Path of the structure in it, ``"training/urea"``.
    method
        Level of theory, ``"r2scan-d4/def2-tzvp"``.
    """
    return GroundTruth(path, key, method, timeout=timeout, trust_locks=trust_locks)


class GroundTruth:
    """Energies, forces and statuses of a structure at one level of theory.

    **Concurrency.** Any number of processes may save at the same time, beside Python processes that keep
    mbe_automation's lock. Of two that computed the same frame the first one stands. **Atomic** is each frame.
    **Survives**: as a commit of :class:`h5part.Writer`.
    """

    def __init__(
        self, path: StrPath, key: str, method: str, *, timeout: float = 300.0, trust_locks: bool = False
    ) -> None:
        self.path, self.key, self.method = os.fspath(path), key, method
        self._options = (timeout, trust_locks)
        self._handle = _h5part.GroundTruth(self.path, key, method, timeout, trust_locks)
        self._savers: dict[tuple[str, bool], _h5part.Saver] = {}

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self._handle.frames

    @property
    def atoms(self) -> int:
        """Atoms of a frame."""
        return self._handle.atoms

    def prepare(self, quantities: Sequence[Quantity] = ("energies", "forces")) -> str:
        """Makes the datasets, or takes over those that Python made. Repeating this does no harm.

        Returns
        -------
        str
            ``"made"``, ``"adopted"`` or ``"already there"``.
        """
        done: str = self._handle.prepare(list(quantities))
        return done

    def todo(
        self,
        frames: Any = None,
        *,
        shard: tuple[int, int] | Literal["slurm"] | None = None,
        overwrite: bool = False,
        lacking: Iterable[Quantity] = (),
    ) -> npt.NDArray[np.int64]:
        """The frames that are to be computed, ascending.

        Parameters
        ----------
        frames
            Only these.
        shard : (i, n), or "slurm"
            The ``i``-th of ``n`` equal parts of the frames.
        overwrite
            Completed frames as well.
        lacking
            Completed frames that lack one of these quantities as well.
        """
        selection = None if frames is None else resolve(frames, lambda: self.frames, clip=True)
        chunk = None
        if shard is not None:
            part, parts = _slurm_shard() if shard == "slurm" else shard
            chunk = (part + 1, parts)
        found = self._handle.todo(selection, chunk, overwrite, list(lacking))
        return np.frombuffer(found, np.int64)

    def save(
        self,
        frames: Any,
        *,
        energies: Any = None,
        forces: Any = None,
        status: Any = FrameStatus.COMPLETED,
        overwrite: bool = False,
        durability: Durability = "power",
    ) -> Saved:
        """Saves results of frames.

        Parameters
        ----------
        frames
            Their numbers: an int, slice, or sequence of ints.
        energies : array_like of float64, shape (frames,)
            In eV an atom.
        forces : array_like of float64, shape (frames, atoms, 3)
            In eV/Å.
        status : int or array_like of int, shape (frames,)
            Of frames that are not COMPLETED only the status is written.
        overwrite
            Whether completed frames are written again.
        durability : {"power", "process"}
            What a saved frame survives.

        Raises
        ------
        Mismatch
            A COMPLETED frame with NaN, or values of another shape.
        """
        chosen = resolve(frames, lambda: self.frames)
        count = 1 if isinstance(chosen, int) else chosen.stop - chosen.start if isinstance(chosen, slice) else len(chosen)
        statuses = np.broadcast_to(np.asarray(status, np.int64), (count,)).tolist()
        saver = self._saver(durability, overwrite)
        values = (_array(energies, (count,)), _array(forces, (count, self.atoms, 3)))
        return Saved(*saver.save(chosen, statuses, *values))

    def _saver(self, durability: str, overwrite: bool) -> _h5part.Saver:
        saver = self._savers.get((durability, overwrite))
        if saver is None or not saver.is_ours():
            saver = self._savers[durability, overwrite] = self._handle.saver(durability, overwrite)
        return saver

    def read(self, frames: Any = None, quantities: Sequence[Quantity] | None = None) -> Frames:
        """Reads frames, of each its status and values as one save left them.

        Parameters
        ----------
        frames
            Their numbers; default: all.
        quantities
            Default: those that are there.
        """
        chosen = resolve(frames, lambda: self.frames, clip=True)
        wanted: list[str] = self._handle.quantities() if quantities is None else [*quantities]
        read = self._handle.read(chosen, wanted)
        status = np.frombuffer(read["status"], np.int64)
        energies = np.frombuffer(read["energies"], np.float64) if "energies" in read else None
        forces = None
        if "forces" in read:
            forces = np.frombuffer(read["forces"], np.float64).reshape(len(status), self.atoms, 3)
        return Frames(status, energies, forces)

    def status(self) -> dict[str, int]:
        """Number of frames of each status."""
        found = self.read(quantities=()).status
        counts = {status.name: int((found == status).sum()) for status in FrameStatus}
        others = int((~np.isin(found, list(FrameStatus))).sum())
        return {**counts, "OTHER": others} if others else counts

    def __getstate__(self) -> dict[str, Any]:
        return {"of": (self.path, self.key, self.method), "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        timeout, trust = state["options"]
        self.__init__(*state["of"], timeout=timeout, trust_locks=trust)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<h5part.mbe.GroundTruth {self.method!r} of {self.key!r} in {self.path!r}>"


def _array(values: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64] | None:
    if values is None:
        return None
    array = np.ascontiguousarray(values, np.float64)
    if array.shape != shape and array.size == np.prod(shape):
        array = array.reshape(shape)
    return array

