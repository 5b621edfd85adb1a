"""A file with tables."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from . import _h5part
from ._dtypes import ColumnLike, Described, described, new_columns
from ._table import Table
from .errors import NotFound

_log = logging.getLogger("h5part")

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Report:
    """What :meth:`Store.verify` found."""

    #: Whether nothing is wrong.
    sound: bool
    #: One for each thing that is wrong, or worth knowing: severity, kind, what, remedy, table, column, rows.
    findings: tuple[dict[str, Any], ...]
    #: Counts of each table.
    tables: tuple[dict[str, Any], ...]
    #: The whole report, as ``h5part verify --json`` prints it.
    full: dict[str, Any]

    def __bool__(self) -> bool:
        return self.sound


@dataclass(frozen=True)
class _Options:
    timeout: float = 300.0
    trust_locks: bool = False


def create(
    path: StrPath,
    table: str,
    rows: int,
    columns: Mapping[str, ColumnLike],
    *,
    attrs: Mapping[str, Any] | None = None,
    chunk_rows: int | None = None,
    contiguous: bool = False,
    gzip: int | None = None,
    guard: str | None = None,
    row_dim: str | None = None,
    coords: Mapping[str, Any] | None = None,
    exist_ok: bool = False,
    timeout: float = 300.0,
    trust_locks: bool = False,
) -> Table:
    """Creates a table, and its file where there is none.

    **Concurrency.** Any number of processes may create tables in the same file at the same time. **Survives** a kill at
    any instant: the table is there as a whole, or not at all.

    Parameters
    ----------
    path
        The HDF5 file.
    table
        Path of the table's group in it.
    rows
        Number of rows. They can be extended later. 0 makes room for one row, for tables that are appended to.
    columns
        For each column its type, ``"f8"``, or type and shape of one row, ``("f8", (100, 3))``, or a
        :class:`h5part.ColumnSpec`. Types are those of numpy.
    attrs
        Attributes of the table's group.
    chunk_rows
        Rows of a chunk; default: chunks of about 1 MiB.
    contiguous
        One block for each column instead of chunks. Such a table cannot grow.
    gzip
        Level of compression, 0 to 9. Commits to compressed columns are made one at a time: rather publish compressed.
    guard
        A column that holds its fill in each row until all others are complete, for programs that do not know h5part.
    row_dim
        Name of the dimension of rows, for netCDF and xarray. A column of this name holds its coordinates. Default, where
        columns have ``dims``: ``"row"``.
    coords
        Values along other dimensions: ``{"xyz": ["x", "y", "z"]}``. See :class:`h5part.ColumnSpec` for the names.
    exist_ok
        Whether the table may exist; then it is checked that it fits.
    timeout
        Seconds to wait for each lock.
    trust_locks
        Whether to write even where the locks of the file system may not reach every host.

    Returns
    -------
    Table

    Raises
    ------
    AlreadyExists
        The table exists.
    BadRequest
        A column has no such type.
    """
    new = _new_table(rows, columns, attrs, chunk_rows, contiguous, gzip, guard, row_dim, coords)
    raw = _h5part.Store.create(os.fspath(path), table, *new, exist_ok, timeout, trust_locks, _tell_wait)
    return Store._of(raw, _Options(timeout, trust_locks))[table]


def open(path: StrPath, *, timeout: float = 300.0, trust_locks: bool = False) -> Store:
    """Opens an HDF5 file that exists, whoever made it.

    Parameters
    ----------
    path
        The file.
    timeout
        Seconds to wait for each lock.
    trust_locks
        Whether to write even where the locks of the file system may not reach every host.

    Raises
    ------
    FileMissing
        There is no such file.
    """
    options = _Options(timeout, trust_locks)
    return Store._of(_h5part.Store(os.fspath(path), timeout, trust_locks, _tell_wait), options)


def merge(
    out: StrPath,
    *sources: StrPath,
    tables: Sequence[str] | None = None,
    concat: bool = False,
    attrs: Literal["same", "first"] = "same",
) -> dict[str, Any]:
    """Merges the committed rows of files into ``out``, which is made if it does not exist.

    **Concurrency.** Other processes may write to an ``out`` that exists, and merge into it. The sources are read only.
    **Survives** a kill at any instant: ``out`` does not exist, or is sound; the same call does what is left.

    Parameters
    ----------
    *sources
        The files.
    tables
        Only these tables, and nothing else; default: all, and what else there is.
    concat
        Put the rows of each file after those of the files before, rather than over them.
    attrs : {"same", "first"}
        Whether attributes of tables and columns that differ are an error, or those of the first file are kept.

    Returns
    -------
    dict
        What was merged; ``complete`` says whether all that the sources hold is in ``out`` now.

    Raises
    ------
    Mismatch
        Two files have different values for one cell.
    """
    found, complete = _h5part.Store.merge_into(
        os.fspath(out), [os.fspath(s) for s in sources], None if tables is None else list(tables), concat, attrs == "first"
    )
    return {**json.loads(found), "complete": complete}


def _new_table(
    rows: int,
    columns: Mapping[str, ColumnLike],
    attrs: Mapping[str, Any] | None,
    chunk_rows: int | None,
    contiguous: bool,
    gzip: int | None,
    guard: str | None,
    row_dim: str | None,
    coords: Mapping[str, Any] | None,
) -> tuple[int, list[Described], dict[str, Any]]:
    """Rows, columns and options of a table to be made, as the extension takes them."""
    options = {
        "attrs": dict(attrs) if attrs else None,
        "chunk_rows": chunk_rows,
        "contiguous": contiguous,
        "gzip": gzip,
        "guard": guard,
        "row_dim": row_dim,
        **new_columns(columns, coords),
    }
    return max(rows, 1), described(columns), options


def _tell_wait(what: str, holder: str, waited: float) -> None:
    _log.warning("waiting for %s since %.0f s; it is held by %s", what, waited, holder)


class Store(Mapping[str, Table]):
    """An HDF5 file that many processes write in place: a mapping from names to tables.

    A store holds nothing open, can be pickled, and used after a fork.
    """

    _path: str
    _options: _Options
    _handle: _h5part.Store
    _tables: dict[str, Table]

    @classmethod
    def _of(cls, raw: _h5part.Store, options: _Options) -> Store:
        store = cls.__new__(cls)
        store._handle = raw
        store._path = os.fspath(raw.path())
        store._options = options
        store._tables = {}
        return store

    def _raw(self) -> _h5part.Store:
        return self._handle

    @property
    def path(self) -> str:
        """The file, with symbolic links resolved."""
        return self._path

    # A mapping of tables.

    def _infos(self) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = self._raw().tables()
        return infos

    def __getitem__(self, table: str) -> Table:
        name = table.strip("/")
        known = self._tables.get(name)
        if known is None:
            self._raw().reader(name).close()
            known = self._tables[name] = Table(self, name)
        return known

    def __iter__(self) -> Iterator[str]:
        return iter([info["path"] for info in self._infos()])

    def __len__(self) -> int:
        return len(self._infos())

    def __contains__(self, table: object) -> bool:
        return isinstance(table, str) and table.strip("/") in {info["path"] for info in self._infos()}

    # Structure.

    def create_table(
        self,
        table: str,
        rows: int,
        columns: Mapping[str, ColumnLike],
        *,
        attrs: Mapping[str, Any] | None = None,
        chunk_rows: int | None = None,
        contiguous: bool = False,
        gzip: int | None = None,
        guard: str | None = None,
        row_dim: str | None = None,
        coords: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
    ) -> Table:
        """Creates a further table: see :func:`h5part.create`."""
        new = _new_table(rows, columns, attrs, chunk_rows, contiguous, gzip, guard, row_dim, coords)
        self._raw().create_table(table, *new, exist_ok)
        return self[table]

    def require_table(self, table: str, rows: int, columns: Mapping[str, ColumnLike], **options: Any) -> Table:
        """Creates a table unless it exists; then checks that it has these columns, and at least as many rows."""
        return self.create_table(table, rows, columns, exist_ok=True, **options)

    def adopt(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        committed: Literal["all", "nonfill"] | tuple[str, str] | None = None,
        guard: tuple[str, str] | None = None,
        again: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Gives stamps to a table that another program made. The datasets stay as they are.

        **Concurrency.** Other processes may work with the file; one structural change is made at a time. **Survives** a
        kill at any instant: the table has stamps, or has none.

        Parameters
        ----------
        table
            Path of the group.
        columns
            The columns that get stamps; default: all that can.
        committed
            Which cells count as committed: ``"all"``, ``"nonfill"`` (those that do not hold fill), or those of rows in
            which a column has a value, ``("status", "1")``. Default: as the file itself shows.
        guard
            Name of the guard column, and the text of its undefined value.
        again
            Whether stamps that exist are replaced.
        dry_run
            Report what would be done, and change nothing.

        Returns
        -------
        dict
            What was decided for each column, and why.
        """
        names = None if columns is None else list(columns)
        found: dict[str, Any] = json.loads(self._raw().adopt(table, names, committed, guard, None, again, dry_run))
        return found

    # Proof, and what follows a kill.

    def verify(self, *, repair: bool = False, accept_foreign: bool = False, accept_loss: bool = False) -> Report:
        """Looks at everything: the structure, every value against its stamp, and what lies beside the file.

        **Concurrency.** May run beside writers and readers.

        Parameters
        ----------
        repair
            Put right what can be put right.
        accept_foreign
            With ``repair``: values that another program wrote count as committed from now on.
        accept_loss
            With ``repair``: go on without columns and rows that another program took away.
        """
        full = json.loads(self._raw().verify(repair, accept_foreign, accept_loss))
        return Report(full["sound"], tuple(full["findings"]), tuple(full["tables"]), full)

    def recover(self) -> dict[str, int]:
        """Puts back what writers that died left half-written. Writers do this by themselves where they meet it."""
        found: dict[str, int] = json.loads(self._raw().recover())
        return found

    # Copies.

    def publish(
        self,
        out: StrPath,
        *,
        gzip: int = 4,
        zstd: int | None = None,
        plain: bool = False,
        only_complete: bool = False,
        accept_foreign: bool = False,
    ) -> dict[str, Any]:
        """Publishes what is committed as a compact file for readers.

        **Concurrency.** Runs beside writers and readers. **Atomic**: ``out`` is the old file, then the new one.

        Parameters
        ----------
        out
            The file. It must not exist, or have been published from this store.
        gzip
            Level, 0 to 9.
        zstd
            Level, 1 to 22, of Zstandard instead. Other programs need a plugin to read it.
        plain
            No compression, each column in one block.
        only_complete
            Leave out rows that a column lacks.
        accept_foreign
            Take over values that another program changed.

        Returns
        -------
        dict
            Counts: tables, rows, cells, missing, chunks, reused, bytes, file_bytes.
        """
        packing = ("plain", 0) if plain else ("gzip", gzip) if zstd is None else ("zstd", zstd)
        found: dict[str, Any] = json.loads(
            self._raw().publish(os.fspath(out), packing, only_complete, accept_foreign)
        )
        return found

    def merge(self, *sources: StrPath, tables: Sequence[str] | None = None, concat: bool = False) -> dict[str, Any]:
        """Merges the committed rows of other files into this one: see :func:`h5part.merge`."""
        found, complete = self._raw().merge(
            [os.fspath(s) for s in sources], None if tables is None else list(tables), concat, False
        )
        return {**json.loads(found), "complete": complete}

    # Other programs.

    @contextmanager
    def gate(self, timeout: float | None = None) -> Iterator[None]:
        """Keeps all writers of h5part out, so that this program may change the file through another library.

        **Concurrency.** While the gate is held, no process commits, changes the structure, or opens a writer or a
        reader: they wait, also in this process. Readers that are open already go on. Programs that know nothing of
        h5part are not excluded; HDF5's own file lock keeps them apart. **Survives**: if this process dies, the kernel
        releases the gate, and the file is as the other library left it. A child that is forked does not hold it.

        Parameters
        ----------
        timeout
            Seconds to wait; default: as for all locks of this store.

        Examples
        --------
        >>> import h5part, h5py
        >>> store = h5part.create("gate.h5", "t", 3, {"x": "f8"}).store
        >>> with store.gate(), h5py.File("gate.h5", "r+") as f:
        ...     f.attrs["note"] = "by h5py"

        Raises
        ------
        LockTimeout
            The gate was not released in time; the message names its holder.
        """
        held = self._raw().gate(timeout)
        try:
            yield
        finally:
            held.release()

    # As a value.

    def close(self) -> None:
        """Lets go of what its tables hold open. It can be used again."""
        for table in self._tables.values():
            table.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, sort: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path, "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        other = open(state["path"], timeout=state["options"].timeout, trust_locks=state["options"].trust_locks)
        self.__dict__.update(other.__dict__)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<h5part.Store {self._path!r}>"

    def _repr_html_(self) -> str:
        from ._html import store_html

        return store_html(self)


def program() -> str:
    """The path of the program ``h5part`` that came with this package.

    Raises
    ------
    NotFound
        It is not installed beside the interpreter.
    """
    import shutil
    import sysconfig

    beside = Path(sysconfig.get_path("scripts")) / "h5part"
    found = str(beside) if beside.exists() else shutil.which("h5part", path=os.path.dirname(sys.executable))
    found = found or shutil.which("h5part")
    if found is None:
        raise NotFound("the program h5part is not installed", code=3)
    return found


