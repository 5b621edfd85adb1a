"""Energies and forces of frames, in the layout of mbe_automation."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _h5part
from ._check import StrPath
from ._rows import resolve
from ._writer import Durability
from .slurm import shard as _slurm_shard

Quantity = Literal["energies", "forces"]


class FrameStatus(enum.IntEnum):
    """Tells how the computation of a frame ended, as stored in the file."""

    COMPLETED = 0
    UNDEFINED = 1
    SCF_NOT_CONVERGED = 2
    FAILED = 3


@dataclass(frozen=True)
class Saved:
    """Counts what :meth:`GroundTruth.save` wrote."""

    #: Frames whose values were written.
    completed: int
    #: Frames of which only the status was written.
    marked: int
    #: Frames that were not touched: they were completed before, or are UNDEFINED now.
    left: int


@dataclass(frozen=True)
class Frames:
    """Holds frames that :meth:`GroundTruth.read` read. Values of frames that are not COMPLETED are NaN."""

    #: int64, shape (frames,): see `FrameStatus`.
    status: npt.NDArray[np.int64]
    #: float64, shape (frames,), in eV per atom.
    energies: npt.NDArray[np.float64] | None
    #: float64, shape (frames, atoms, 3), in eV/Å.
    forces: npt.NDArray[np.float64] | None


def ground_truth(
    path: StrPath, key: str, method: str, *, timeout: float = 300.0, trust_locks: bool = False
) -> GroundTruth:
    """Opens the ground truth of a structure at a level of theory.

    Parameters
    ----------
    path
        The HDF5 file.
    key
        Path of the structure in it, ``"training/urea"``.
    method
        Level of theory, ``"r2scan-d4/def2-tzvp"``.
    timeout
        Seconds to wait for each lock.
    trust_locks
        Write even where the locks of the file system may not reach every host.

    Returns
    -------
    GroundTruth

    Raises
    ------
    FileMissing, NotFound
        The file, or the structure in it, does not exist.
    """
    return GroundTruth(path, key, method, timeout=timeout, trust_locks=trust_locks)


class GroundTruth:
    """Energies, forces and statuses of the frames of a structure, at one level of theory.

    **Concurrency.** Any number of processes may save at the same time, beside processes that use mbe_automation's own
    functions. If two compute the same frame, the first one stands. **Atomic**: each frame. **Survives**: as a commit of
    :class:`h5part.Writer`.

    Parameters
    ----------
    path, key, method, timeout, trust_locks
        As in :func:`ground_truth`.
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
        """Number of atoms per frame."""
        return self._handle.atoms

    def prepare(self, quantities: Sequence[Quantity] = ("energies", "forces")) -> str:
        """Creates the datasets, or adopts those that mbe_automation made. It may be repeated.

        **Concurrency.** Any number of processes may call it at the same time. **Survives** a kill at any instant: run
        it again.

        Parameters
        ----------
        quantities
            The datasets to create.

        Returns
        -------
        str
            ``"made"``, ``"adopted"`` or ``"already there"``.

        Raises
        ------
        Mismatch
            Datasets exist that do not fit the structure.
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
        """Returns the frames that are still to be computed.

        Parameters
        ----------
        frames
            Look at these frames only.
        shard : (i, n) or "slurm"
            Take the ``i``-th of ``n`` equal parts of the frames, from 0.
        overwrite
            Include completed frames.
        lacking
            Include completed frames that lack one of these quantities.

        Returns
        -------
        ndarray of int64, shape (frames,)
            Numbers of frames in ascending order.
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

        **Concurrency**, what is **atomic** and what it **survives**: see the class.

        Parameters
        ----------
        frames
            Their numbers: an int, slice, or sequence of ints.
        energies : array_like of float64, shape (frames,)
            Energies in eV per atom.
        forces : array_like of float64, shape (frames, atoms, 3)
            Forces in eV/Å.
        status : int or array_like of int, shape (frames,)
            See `FrameStatus`. Of frames that are not COMPLETED, only the status is written.
        overwrite
            Write frames that are completed already.
        durability : {"power", "process"}
            What a saved frame survives: a loss of power, or the death of any process.

        Returns
        -------
        Saved

        Raises
        ------
        Mismatch
            The values have another shape, or a COMPLETED frame has NaN.
        RowOutOfRange
            There is no such frame.
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
        """Reads frames. The status and the values of each frame are those of one save.

        **Concurrency.** May run beside any number of processes that save.

        Parameters
        ----------
        frames
            Their numbers. Default: all.
        quantities
            ``"energies"``, ``"forces"`` or both. Default: those that exist.

        Returns
        -------
        Frames
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
        """Counts frames by status."""
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

