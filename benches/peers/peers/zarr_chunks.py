"""zarr-python 3: a directory of chunk files, which writers of different chunks need not share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from model import Settings
from work import Columns, CommitWork, ReadRow
from writers import Commit, WriterPeer


class ZarrChunks(WriterPeer):
    """One chunk is one batch, so that each commit writes whole chunks and no writer waits."""

    name = "zarr"
    title = "zarr-python 3, one chunk a commit"
    note = "a local store without compression; it leaves a file per commit and column."
    repeats = 3

    def absent(self, settings: Settings) -> str | None:
        try:
            found = version("zarr")
        except PackageNotFoundError:
            return "python3 -m pip install 'zarr>=3'"
        return None if int(found.split(".")[0]) >= 3 else f"zarr {found} is too old: needs zarr>=3"

    def versions(self, settings: Settings) -> Mapping[str, str]:
        return {"zarr": version("zarr")}

    def create(self, where: Path, work: CommitWork) -> None:
        import zarr

        group = zarr.open_group(where, mode="w")
        for name, (shape, dtype) in work.columns.items():
            group.create_array(
                name,
                shape=(work.rows, *shape),
                chunks=(work.batch, *shape),
                dtype=dtype,
                compressors=None,
                fill_value=0,
            )

    @contextmanager
    def writer(self, where: Path, work: CommitWork) -> Iterator[Commit]:
        import zarr

        group = zarr.open_group(where, mode="r+")
        arrays: dict[str, Any] = {name: group[name] for name in work.columns}
        for array in arrays.values():
            array[0]  # Starts zarr's event loop and threads: process start, not work.

        def commit(rows: slice, values: Columns) -> None:
            for name, block in values.items():
                arrays[name][rows] = block

        yield commit

    @contextmanager
    def reader(self, where: Path) -> Iterator[ReadRow]:
        import zarr

        group: Any = zarr.open_group(where, mode="r")
        yield lambda name, row: group[name][row]
