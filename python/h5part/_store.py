"""A file with tables."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from . import _check, _h5part
from ._check import StrPath
from ._closing import Closing
from ._column_spec import ColumnLike, Described, described, new_columns
from ._table import Table
from .errors import BadFile, NotFound


@dataclass(frozen=True)
class Report:
    """Tells what :meth:`Store.verify` found. It is true if the file is sound."""

    #: Whether nothing is wrong.
    sound: bool
    #: What is wrong or worth knowing, each with severity, kind, what, remedy, table, column and rows.
    findings: tuple[dict[str, Any], ...]
    #: Counts for each table.
    tables: tuple[dict[str, Any], ...]
    #: The whole report, as ``h5part verify --json`` prints it.
    full: dict[str, Any] = field(repr=False)

    def __bool__(self) -> bool:
        return self.sound


@dataclass(frozen=True)
class _Options:
    timeout: float = 300.0
    trust_locks: bool = False
    shared: Literal["nfs"] | None = None


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
    shared: Literal["nfs"] | None = None,
) -> Table:
    """Creates a table. Creates its file too, if it does not exist.

    **Concurrency.** Any number of processes may create tables in the same file at the same time. **Survives** a kill at
    any instant: the table exists as a whole, or not at all.

    Parameters
    ----------
    path
        The HDF5 file.
    table
        Path of the table's group in it.
    rows
        Number of rows. A table can be extended later. 0 makes room for one row, for tables that are appended to.
    columns
        Columns by name. Each is a numpy type, ``"f8"``, or the type and shape of one row, ``("f8", (100, 3))``, or a
        :class:`h5part.ColumnSpec`.
    attrs
        Attributes of the table's group.
    chunk_rows
        Rows per chunk. Default: chunks of about 1 MiB.
    contiguous
        Store each column as one block instead of chunks. Such a table cannot grow.
    gzip
        Level of compression, 0 to 9. Commits to compressed columns are made one at a time. If you can, publish a
        compressed copy instead: see :meth:`Store.publish`.
    guard
        A column that holds its fill in each row until all other columns are committed. It protects programs that do not
        know h5part.
    row_dim
        Name of the dimension of rows, for netCDF and xarray. A column of this name holds its coordinates. Default, where
        columns have ``dims``: ``"row"``.
    coords
        Values along other dimensions: ``{"xyz": ["x", "y", "z"]}``. See :class:`h5part.ColumnSpec` for the names.
    exist_ok
        Accept a table that exists, after a check that it has these columns, the named dimensions that are given, and at
        least as many rows.
    timeout
        Seconds to wait for each lock.
    trust_locks
        Write even where the locks of the file system may not reach every host.
    shared
        ``"nfs"`` lets several hosts write, which mount the folder by NFS 4.1 or newer. Default: as the store was shared
        before, or as the environment variable ``H5PART_SHARED`` says.

    Returns
    -------
    Table

    Raises
    ------
    AlreadyExists
        The table exists, and ``exist_ok`` is False.
    NotFound, Mismatch, RowOutOfRange
        The table exists without these columns, with other types, shapes or named dimensions, or with fewer rows.
    BadRequest
        h5part has no columns of this type; the message says what to use instead.
    Unsupported
        The locks of the file system may not reach every host.

    Examples
    --------
    >>> import h5part
    >>> columns = {"E": h5part.ColumnSpec("f8", attrs={"units": "eV"}), "F": ("f8", (100, 3)), "label": "S20"}
    >>> h5part.create("run.h5", "frames", 1000, columns, attrs={"method": "r2scan"})
    <h5part.Table 'frames' in '...run.h5'>
    """
    new = _new_table(rows, columns, attrs, chunk_rows, contiguous, gzip, guard, row_dim, coords)
    timeout, name = _check.seconds("timeout", timeout), _check.table(table)
    raw = _h5part.Store.create(_check.path(path), name, *new, exist_ok, timeout, trust_locks, shared, _tell_wait)
    made = Store._of(raw, _Options(timeout, trust_locks, shared))[name]
    if exist_ok:
        made._check_dimensions(columns, row_dim, coords)
    return made


def open(
    path: StrPath, *, timeout: float = 300.0, trust_locks: bool = False, shared: Literal["nfs"] | None = None
) -> Store:
    """Opens an HDF5 file that exists, whoever made it.

    **Concurrency.** Any number of processes may open the same file, to read and to write.

    Parameters
    ----------
    path
        The file.
    timeout
        Seconds to wait for each lock.
    trust_locks
        Write even where the locks of the file system may not reach every host.
    shared
        ``"nfs"`` lets several hosts write, which mount the folder by NFS 4.1 or newer. Default: as the store was shared
        before, or as the environment variable ``H5PART_SHARED`` says.

    Returns
    -------
    Store

    Raises
    ------
    FileMissing
        The file does not exist.
    BadFile
        It is not an HDF5 file, or it is damaged.

    Examples
    --------
    >>> import h5part
    >>> table = h5part.create("run.h5", "frames", 4, {"E": "f8"})
    >>> with h5part.open("run.h5") as store:
    ...     list(store), store["frames"].columns
    (['frames'], ('E',))
    """
    options, name = _Options(_check.seconds("timeout", timeout), trust_locks, shared), _check.path(path)
    if os.path.isdir(name):
        raise BadFile(f"cannot open {name}: it is a folder", code=5, operation="open", path=name)
    return Store._of(_h5part.Store(name, timeout, trust_locks, shared, _tell_wait), options)


def merge(
    out: StrPath,
    *sources: StrPath,
    tables: Sequence[str] | None = None,
    concat: bool = False,
    attrs: Literal["same", "first"] = "same",
) -> dict[str, Any]:
    """Merges the committed rows of files into ``out``, which is created if it does not exist.

    **Concurrency.** Other processes may write to ``out`` and merge into it meanwhile. The sources are only read.
    **Survives** a kill at any instant: ``out`` does not exist, or is sound. The same call then does what is left.

    Parameters
    ----------
    out
        The file to merge into.
    *sources
        The files to merge.
    tables
        Merge these tables, and nothing else. Default: all tables, and everything else in the files.
    concat
        Put the rows of each file after those of the files before, instead of at the same row numbers.
    attrs : {"same", "first"}
        ``"same"``: attributes of tables and columns that differ are an error. ``"first"``: keep those of the first file.

    Returns
    -------
    dict
        What was merged, as counts. ``complete`` tells whether ``out`` now holds everything that the sources hold.

    Raises
    ------
    Mismatch
        Two files have different values for one cell.

    Examples
    --------
    >>> import h5part
    >>> for part in range(2):
    ...     table = h5part.create(f"part{part}.h5", "t", 4, {"E": "f8"})
    ...     _ = table.commit([part, part + 2], E=[0.5 + part, 2.5 + part])
    >>> h5part.merge("all.h5", "part0.h5", "part1.h5")["complete"]
    True
    >>> h5part.open("all.h5")["t"]["E"][:].tolist()
    [0.5, 1.5, 2.5, 3.5]
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
    _check.columns(columns)
    rows = _check.whole("rows", rows)
    chunk_rows = None if chunk_rows is None else _check.whole("chunk_rows", chunk_rows, 1)
    gzip = None if gzip is None else _check.whole("gzip", gzip, 0, 9)
    options = {
        "attrs": {name: _check.attribute(name, value) for name, value in attrs.items()} if attrs else None,
        "chunk_rows": chunk_rows,
        "contiguous": contiguous,
        "gzip": gzip,
        "guard": guard,
        "row_dim": row_dim,
        **new_columns(columns, coords),
    }
    return max(rows, 1), described(columns), options


def _tell_wait(what: str, holder: str, waited: float) -> None:
    # Its import, as that of pathlib, costs a third of that of this package.
    import logging

    logging.getLogger("h5part").warning("waiting for %s for %.0f s; it is held by %s", what, waited, holder)


class Store(Closing, Mapping[str, Table]):
    """An HDF5 file that many processes write in place, as a mapping from names to tables.

    Made by :func:`h5part.open`. In a ``with`` statement, the files of its tables are closed at the end.

    **Concurrency.** Any number of processes and threads may use the same file at the same time. A store can be pickled,
    and it can be used on both sides of a fork.

    Examples
    --------
    >>> import h5part
    >>> store = h5part.create("run.h5", "frames", 4, {"E": "f8"}).store
    >>> store["frames"].commit(0, E=-1.5)
    1
    >>> store.verify().sound
    True
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
        """Returns a table.

        Parameters
        ----------
        table
            Path of its group.

        Raises
        ------
        NotFound
            The file has no such table.
        """
        name = _check.table(table)
        known = self._tables.get(name)
        if known is None:
            self._raw().reader(name).close()
            known = self._tables[name] = Table(self, name)
        return known

    def __iter__(self) -> Iterator[str]:
        return iter([info["path"] for info in self._infos()])

    def __len__(self) -> int:
        """Number of tables."""
        return len(self._infos())

    def __contains__(self, table: object) -> bool:
        return isinstance(table, str) and _check.table(table) in {info["path"] for info in self._infos()}

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
        """Creates another table in this file.

        **Concurrency** and what it **survives**: as :func:`h5part.create`.

        Parameters
        ----------
        table, rows, columns, attrs, chunk_rows, contiguous, gzip, guard, row_dim, coords, exist_ok
            As in :func:`h5part.create`.

        Returns
        -------
        Table

        Raises
        ------
        AlreadyExists, NotFound, Mismatch, RowOutOfRange, BadRequest, Unsupported
            As :func:`h5part.create`.
        """
        new = _new_table(rows, columns, attrs, chunk_rows, contiguous, gzip, guard, row_dim, coords)
        self._raw().create_table(_check.table(table), *new, exist_ok)
        made = self[table]
        if exist_ok:
            made._check_dimensions(columns, row_dim, coords)
        return made

    def require_table(self, table: str, rows: int, columns: Mapping[str, ColumnLike], **options: Any) -> Table:
        """Creates a table, or checks that the one that exists has these columns and at least as many rows.

        It also compares the named dimensions that are given: ``row_dim``, ``coords``, and the ``dims`` of columns.

        **Concurrency** and what it **survives**: as :func:`h5part.create`.

        Parameters
        ----------
        table, rows, columns, **options
            As in :func:`h5part.create`.

        Returns
        -------
        Table

        Raises
        ------
        NotFound, Mismatch, RowOutOfRange, BadRequest, Unsupported
            As :func:`h5part.create`.
        """
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
        """Gives stamps to a table that another program made, so that its committed rows are known.

        The datasets stay as they are.

        **Concurrency.** Other processes may work with the file; one structural change is made at a time. **Survives** a
        kill at any instant: the table has stamps, or it has none.

        Parameters
        ----------
        table
            Path of the group.
        columns
            The columns that get stamps. Default: all that can have them.
        committed
            Which cells count as committed: ``"all"``, ``"nonfill"`` (cells that do not hold the fill), or the cells of
            rows in which a column has a value, ``("status", "1")``. Default: what the file itself shows.
        guard
            Name of the guard column, and the text of its undefined value.
        again
            Replace stamps that exist.
        dry_run
            Report what would be done, and change nothing.

        Returns
        -------
        dict
            What was decided for each column, and why.

        Raises
        ------
        NotFound
            There is no such group, or it holds no datasets.
        AlreadyExists
            The table has stamps, and ``again`` is False.

        Examples
        --------
        >>> import h5part, h5py, numpy as np
        >>> with h5py.File("theirs.h5", "w") as file:
        ...     file["run/x"] = np.array([0.5, 0.0, 1.5])
        >>> store = h5part.open("theirs.h5")
        >>> _ = store.adopt("run", committed="nonfill")
        >>> store["run"].todo().tolist()
        [1]
        """
        names = None if columns is None else list(columns)
        found: dict[str, Any] = json.loads(self._raw().adopt(table, names, committed, guard, None, again, dry_run))
        return found

    # Proof, and what follows a kill.

    def verify(self, *, repair: bool = False, accept_foreign: bool = False, accept_loss: bool = False) -> Report:
        """Checks everything: the structure, every value against its stamp, and the files beside the store.

        **Concurrency.** May run beside writers and readers. **Survives** a kill at any instant: run it again.

        Parameters
        ----------
        repair
            Repair what can be repaired.
        accept_foreign
            With ``repair``: count values that another program wrote as committed from now on.
        accept_loss
            With ``repair``: go on without columns and rows that another program removed.

        Returns
        -------
        Report

        Raises
        ------
        BadFile
            The file is damaged so far that it cannot be checked.
        """
        full = json.loads(self._raw().verify(repair, accept_foreign, accept_loss))
        return Report(full["sound"], tuple(full["findings"]), tuple(full["tables"]), full)

    def recover(self) -> dict[str, int]:
        """Rolls back what dead writers left half-written. A commit that meets such rows does so itself.

        **Concurrency.** May run beside writers and readers. **Survives** a kill at any instant: run it again.

        Returns
        -------
        dict
            What was found and done, as counts.
        """
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
        """Publishes the committed rows as a compact file for readers.

        **Concurrency.** May run beside writers and readers. **Atomic**: ``out`` is the old file, then the new one.
        **Survives** a kill at any instant: run it again.

        Parameters
        ----------
        out
            The file. It must not exist, unless it was published from this store.
        gzip
            Level of compression, 0 to 9.
        zstd
            Compress by Zstandard at this level, 1 to 22, instead. Other programs need a plugin to read the file.
        plain
            Do not compress; store each column as one block.
        only_complete
            Leave out rows that at least one column lacks.
        accept_foreign
            Include values that another program changed.

        Returns
        -------
        dict
            Counts: tables, rows, cells, missing, chunks, reused, bytes, file_bytes.

        Raises
        ------
        AlreadyExists
            The output exists but was not published from this store.
        ForeignChange
            Another program changed values, and ``accept_foreign`` is False.

        Examples
        --------
        >>> import h5part
        >>> table = h5part.create("run.h5", "t", 4, {"E": "f8"})
        >>> table.commit(slice(0, 4), E=[0.0, 0.5, 1.0, 1.5])
        4
        >>> table.store.publish("published.h5", gzip=4)["cells"]
        4
        """
        gzip = _check.whole("gzip", gzip, 0, 9)
        zstd = None if zstd is None else _check.whole("zstd", zstd, 1, 22)
        packing = ("plain", 0) if plain else ("gzip", gzip) if zstd is None else ("zstd", zstd)
        found: dict[str, Any] = json.loads(
            self._raw().publish(os.fspath(out), packing, only_complete, accept_foreign)
        )
        return found

    def merge(self, *sources: StrPath, tables: Sequence[str] | None = None, concat: bool = False) -> dict[str, Any]:
        """Merges the committed rows of other files into this one.

        **Concurrency** and what it **survives**: as :func:`h5part.merge`.

        Parameters
        ----------
        *sources, tables, concat
            As in :func:`h5part.merge`.

        Returns
        -------
        dict
            As :func:`h5part.merge`.

        Raises
        ------
        Mismatch
            Two files have different values for one cell.
        """
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
            Seconds to wait for the writers. Default: that of the store.

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

    def _forget_units(self) -> None:
        for table in self._tables.values():
            table._forget_units()

    def close(self) -> None:
        """Closes what its tables hold open. They open the file again when they are used again."""
        for table in self._tables.values():
            table.close()

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

        return store_html(self._path, [table._repr_html_() for table in self.values()])


def program() -> str:
    """Returns the path of the program ``h5part`` that came with this package.

    Returns
    -------
    str

    Raises
    ------
    NotFound
        It is not installed beside the interpreter.
    """
    import shutil
    import sysconfig

    beside = os.path.join(sysconfig.get_path("scripts"), "h5part")
    found = beside if os.path.exists(beside) else shutil.which("h5part", path=os.path.dirname(sys.executable))
    found = found or shutil.which("h5part")
    if found is None:
        raise NotFound("the program h5part is not installed", code=3)
    return found


