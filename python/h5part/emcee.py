"""A backend for emcee: each step of the chain is one commit.

Examples
--------
>>> import emcee, numpy as np, h5part.emcee
>>> backend = h5part.emcee.Backend("chains.h5", name="run1")
>>> sampler = emcee.EnsembleSampler(32, 5, lambda x: -0.5 * np.sum(x**2), backend=backend)
>>> state = sampler.run_mcmc(np.random.default_rng(1).normal(size=(32, 5)), 10)
>>> backend.get_chain().shape
(10, 32, 5)

After a kill at any instant, a backend of the same name has every step that was saved, and a sampler goes on from it:
``sampler.run_mcmc(None, n)`` gives the chain that an uninterrupted run would have given, bit for bit. Other processes may
read the chain meanwhile.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from emcee.backends import Backend as _Base

from ._check import StrPath
from ._store import create
from ._store import open as open_store
from ._table import Table, used
from ._writer import Durability, Writer
from .errors import BadRequest, FileMissing, NotFound

__all__ = ["Backend"]

_KEYS = 624  # words of the state of MT19937, numpy's generator that emcee uses
_BLOBS = "blobs"


class Backend(_Base):  # type: ignore[misc]
    """Stores chains in a table of an HDF5 file, one row per step.

    **Concurrency.** One sampler writes a chain. Any number of processes may read it meanwhile, and other chains may be
    written to the same file under other names. **Atomic**: each step, with its chain, log probabilities, blobs, counts of
    accepted proposals and state of the random numbers. **Survives** what ``durability`` says.

    Parameters
    ----------
    filename
        The HDF5 file. It is created if it does not exist.
    name
        Path of the table.
    read_only
        Only read the chain.
    dtype
        Type of the chain and of log probabilities. Default: float64.
    durability : {"power", "process"}
        What a saved step survives: a loss of power, or the death of any process.
    """

    def __init__(
        self,
        filename: StrPath,
        name: str = "mcmc",
        read_only: bool = False,
        dtype: Any = None,
        durability: Durability = "power",
    ) -> None:
        self.filename = os.fspath(filename)
        self.name = name
        self.read_only = read_only
        self.dtype = np.dtype(np.float64 if dtype is None else dtype)
        self._durability: Durability = durability
        self._forget()

    def _forget(self) -> None:
        self._known: Table | None = None
        self._writer: Writer | None = None
        self._steps: int | None = None
        self._counts: npt.NDArray[Any] | None = None
        self._fields: tuple[str, ...] | None = None

    # What is there.

    def _table(self) -> Table:
        if self._known is None:
            self._known = open_store(self.filename)[self.name]
            self.dtype = self._known["chain"].dtype
        return self._known

    @property
    def initialized(self) -> bool:
        """Whether the chain exists."""
        try:
            self._table()
        except (FileMissing, NotFound):
            return False
        return True

    @property
    def shape(self) -> tuple[int, int]:
        """Walkers, dimensions."""
        _, walkers, dimensions = self._table()["chain"].shape
        return walkers, dimensions

    @property
    def nwalkers(self) -> int:
        """Number of walkers."""
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.shape[1]

    @property
    def iteration(self) -> int:
        """Number of steps that are saved."""
        return self._steps if self._steps is not None else used(self._table())

    def has_blobs(self) -> bool:
        """Whether steps have blobs."""
        return bool(self._blob_columns())

    def _blob_columns(self) -> list[str]:
        return [name for name in self._table().columns if name == _BLOBS or name.startswith(_BLOBS + ".")]

    @property
    def accepted(self) -> npt.NDArray[Any]:
        """Number of accepted proposals of each walker so far: float64, shape (walkers,)."""
        steps = self.iteration
        if steps == 0:
            return np.zeros(self.nwalkers)
        counts: npt.NDArray[Any] = self._table()["accepted"][steps - 1]
        return counts

    @property
    def random_state(self) -> tuple[Any, ...] | None:
        """The state of the random numbers after the last step, as ``RandomState.set_state`` takes it."""
        steps = self.iteration
        if steps == 0:
            return None
        block = self._table().read("random_keys", "random_numbers", "random_gauss", rows=steps - 1)
        position, has_gauss = (int(n) for n in block["random_numbers"][0])
        return ("MT19937", block["random_keys"][0], position, has_gauss, float(block["random_gauss"][0]))

    def get_value(self, name: str, flat: bool = False, thin: int = 1, discard: int = 0) -> Any:
        """Returns values of the steps, as emcee's backends do.

        Parameters
        ----------
        name
            ``"chain"``, ``"log_prob"`` or ``"blobs"``.
        flat
            Join the axes of steps and walkers.
        thin
            Take every ``thin``-th step.
        discard
            Leave out this many steps at the beginning.

        Returns
        -------
        ndarray, shape (steps, walkers, *value), or None if there are no blobs

        Raises
        ------
        AttributeError
            No step is saved yet.
        """
        if not self.initialized or self.iteration <= 0:
            raise AttributeError("run the sampler with store=True before accessing the results")
        if name == _BLOBS and not self.has_blobs():
            return None
        rows = range(discard + thin - 1, self.iteration, thin)
        value = self._blobs(rows) if name == _BLOBS else self._table().read(name, rows=rows)[name]
        return value.reshape(-1, *value.shape[2:]) if flat else value

    def _blobs(self, rows: range) -> npt.NDArray[Any]:
        names = self._blob_columns()
        block = self._table().read(*names, rows=rows)
        if names == [_BLOBS]:
            return block[_BLOBS]
        fields = [name.removeprefix(_BLOBS + ".") for name in names]
        dtype = np.dtype([(f, block[n].dtype, block[n].shape[2:]) for f, n in zip(fields, names, strict=True)])
        value = np.empty(block[names[0]].shape[:2], dtype)
        for field, name in zip(fields, names, strict=True):
            value[field] = block[name]
        return value

    # Writing.

    def reset(self, nwalkers: int, ndim: int) -> None:
        """Creates an empty chain, or removes the steps of the one that exists.

        **Concurrency**, what is **atomic** and what it **survives**: see the class.

        Parameters
        ----------
        nwalkers
            Number of walkers.
        ndim
            Number of dimensions.

        Raises
        ------
        BadRequest
            A chain of this name exists with another shape: use another name.
        """
        self._check_writable()
        self._forget()
        if self.initialized:
            if self.shape != (nwalkers, ndim):
                raise BadRequest(f"the chain '{self.name}' has shape {self.shape}: use another name", code=2)
            table = self._table()
            if len(table):
                table.reset(slice(0, len(table)))
            self._steps = 0
            return
        columns: dict[str, Any] = {
            "chain": (self.dtype, (nwalkers, ndim)),
            "log_prob": (self.dtype, (nwalkers,)),
            "accepted": ("f8", (nwalkers,)),
            "random_keys": ("u4", (_KEYS,)),
            "random_numbers": ("i4", (2,)),
            "random_gauss": "f8",
        }
        attributes = {"nwalkers": int(nwalkers), "ndim": int(ndim)}
        self._known = create(self.filename, self.name, 0, columns, attrs=attributes)
        self._steps = 0

    def grow(self, ngrow: int, blobs: Any) -> None:
        """Makes room for more steps.

        **Concurrency**, what is **atomic** and what it **survives**: see the class.

        Parameters
        ----------
        ngrow
            Number of steps.
        blobs : array_like, shape (walkers, *blob), or None
            Blobs of a step, which tell the type of all blobs.

        Raises
        ------
        ValueError
            Some steps have blobs and others have not.
        """
        self._check_writable()
        self._check_blobs(blobs)
        table = self._table()
        wanted = self.iteration + int(ngrow)
        if blobs is not None and not self.has_blobs():
            self._close()
            table.add_columns(_blob_specs(blobs))
        if wanted > len(table):
            table.extend(wanted)

    def save_step(self, state: Any, accepted: npt.NDArray[np.bool_]) -> None:
        """Commits a step, all of it or nothing.

        **Concurrency**, what is **atomic** and what it **survives**: see the class.

        Parameters
        ----------
        state : emcee.State
            Coordinates of shape (walkers, dimensions), log probabilities, blobs and the state of the random numbers.
        accepted : ndarray of bool, shape (walkers,)
            Whether each walker has moved.

        Raises
        ------
        ValueError
            The state does not fit the chain.
        """
        self._check_writable()
        if self._steps is None or self._counts is None:
            # What other samplers of the name saved before, and what became of it.
            self._steps, self._counts = self.iteration, self.accepted.astype("f8")
        self._check(state, accepted)
        counts = self._counts + accepted
        _, keys, position, has_gauss, gauss = state.random_state
        values: dict[str, Any] = {
            "chain": np.asarray(state.coords, self.dtype),
            "log_prob": np.asarray(state.log_prob, self.dtype),
            "accepted": counts,
            "random_keys": np.asarray(keys, np.uint32),
            "random_numbers": np.array([position, has_gauss], np.int32),
            # An array, as the others: then nothing of the step is converted on its way to the file.
            "random_gauss": np.array([gauss], np.float64),
        }
        if state.blobs is not None:
            values.update(_blob_values(state.blobs))
        if self._writer is None:
            self._writer = self._table().writer(durability=self._durability)
        self._writer._commit(self._steps, values)
        self._steps += 1
        self._counts = counts

    def _check(self, state: Any, accepted: npt.NDArray[np.bool_]) -> None:
        walkers = (self._counts if self._counts is not None else self.accepted).shape[0]
        if state.coords.shape[0] != walkers or accepted.shape != (walkers,):
            raise ValueError(f"invalid size: expected {walkers} walkers")
        if (state.blobs is not None) != self._expects_blobs():
            raise ValueError("unexpected blobs" if state.blobs is not None else "expected blobs, but none were given")

    def _expects_blobs(self) -> bool:
        if self._fields is None:
            self._fields = tuple(self._blob_columns())
        return bool(self._fields)

    def _check_blobs(self, blobs: Any) -> None:
        if blobs is None and self.iteration > 0 and self.has_blobs():
            raise ValueError("inconsistent use of blobs")
        if blobs is not None and self.iteration > 0 and not self.has_blobs():
            raise ValueError("inconsistent use of blobs")

    def _check_writable(self) -> None:
        if self.read_only:
            raise RuntimeError("the backend is read-only: pass read_only=False to make changes")

    def _close(self) -> None:
        self._fields = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # Other programs.

    def export(self, filename: StrPath, name: str | None = None) -> None:
        """Writes the chain to a file that ``emcee.backends.HDFBackend`` reads. Needs h5py.

        **Concurrency.** May run while the chain is written. The new file is written by h5py, and does not **survive** a
        kill.

        Parameters
        ----------
        filename
            The new file.
        name
            Path of the chain in it. Default: the name of this backend.
        """
        from emcee.backends import HDFBackend

        out = HDFBackend(os.fspath(filename), name=name or self.name, dtype=self.dtype)
        out.reset(*self.shape)
        steps, blobs = self.iteration, self.has_blobs()
        out.grow(steps, self.get_value(_BLOBS)[0] if blobs else None)
        with out.open("a") as file:
            group: Any = file[out.name]
            group["chain"][...] = self.get_value("chain")
            group["log_prob"][...] = self.get_value("log_prob")
            group["accepted"][...] = self.accepted
            if blobs:
                group[_BLOBS][...] = self.get_value(_BLOBS)
            for place, value in enumerate(self.random_state or ()):
                group.attrs[f"random_state_{place}"] = value
            group.attrs["iteration"] = steps

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.update(_known=None, _writer=None, _steps=None, _counts=None, _fields=None)
        return state


def _blob_specs(blobs: Any) -> dict[str, Any]:
    array = np.asarray(blobs)
    if array.dtype.names:
        fields = {name: np.dtype(array.dtype[name]) for name in array.dtype.names}
        return {
            f"{_BLOBS}.{name}": (dtype.base, (array.shape[0], *array.shape[1:], *dtype.shape))
            for name, dtype in fields.items()
        }
    return {_BLOBS: (array.dtype, array.shape)}


def _blob_values(blobs: Any) -> dict[str, Any]:
    array = np.asarray(blobs)
    if array.dtype.names:
        return {f"{_BLOBS}.{name}": np.ascontiguousarray(array[name]) for name in array.dtype.names}
    return {_BLOBS: array}
