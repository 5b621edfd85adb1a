"""Shows how far work is: a bar on a terminal, a few lines elsewhere, or tqdm."""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TextIO, TypeVar

from ._closing import Closing

__all__ = ["Progress", "track"]

T = TypeVar("T")
# Called with what is done and the total, which may be unknown.
Callback = Callable[[int, int | None], object]
Choice = str | bool | None | Callback

# Lines come when both have passed since the last one.
_LINE_SHARE = 0.05
_LINE_S = 60.0
_BAR_S = 0.1


class Progress(Closing):
    """Progress of one piece of work, as a context manager.

    Parameters
    ----------
    total : int, optional
        How much there is to do.
    progress : {"auto", "bar", "lines", "tqdm"}, bool, callable or None
        "auto" and True: a bar if `file` is a terminal, else lines. Lines come
        at most once per 5 % and per 60 s, whichever is later, and once at the
        end. "tqdm" needs the package tqdm. A callable is called with what is
        done and the total. None and False: nothing.
    name : str
        What is being done.
    unit : str
        What is counted, in the plural.
    file : text file, optional
        Default: standard error.

    Raises
    ------
    ValueError
        No such kind of progress.
    ImportError
        tqdm is not installed.

    Examples
    --------
    >>> from h5part.progress import Progress
    >>> with Progress(3, progress=lambda done, total: print(done, "of", total)) as progress:
    ...     progress.update(2)
    2 of 3
    """

    def __init__(
        self,
        total: int | None = None,
        *,
        progress: Choice = "auto",
        name: str = "",
        unit: str = "items",
        file: TextIO | None = None,
    ) -> None:
        self.total = total
        self.done = 0
        self._name = name
        self._unit = unit
        self._file = file if file is not None else sys.stderr
        self._start = time.monotonic()
        self._shown_at = self._start
        self._shown_done = 0
        self._width = 0
        self._show: Callable[[bool], None] = lambda is_end: None
        self._tqdm: Any = None
        self._is_closed = False
        self._choose(progress)

    def _choose(self, progress: Choice) -> None:
        if progress is None or progress is False:
            return
        if progress is True or progress == "auto":
            progress = "bar" if self._file.isatty() else "lines"
        if progress == "bar":
            self._show = self._show_bar
        elif progress == "lines":
            self._show = self._show_line
        elif progress == "tqdm":
            self._tqdm = importlib.import_module("tqdm.auto").tqdm(
                total=self.total, desc=self._name or None, unit=self._unit, file=self._file
            )
            self._show = self._show_tqdm
        elif callable(progress):
            self._call: Callback = progress
            self._show = self._show_call
        else:
            raise ValueError(f"progress: expected 'auto', 'bar', 'lines', 'tqdm' or a callable, found {progress!r}")

    def update(self, count: int = 1) -> None:
        """Adds to what is done."""
        self.set(self.done + count)

    def set(self, done: int) -> None:
        """Sets what is done."""
        self.done = done
        self._show(False)

    def close(self) -> None:
        """Shows the end. Further calls do nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._show(True)

    def text(self) -> str:
        """Returns what a line says."""
        passed = time.monotonic() - self._start
        name = f"{self._name}: " if self._name else ""
        if self.total is None:
            return f"{name}{self.done} {self._unit}, {duration(passed)}"
        share = self.done / self.total if self.total else 1.0
        text = f"{name}{self.done} of {self.total} {self._unit} ({int(share * 100)} %), {duration(passed)}"
        if 0 < share < 1:
            text += f", {duration(passed / share - passed)} left"
        return text

    def _show_line(self, is_end: bool) -> None:
        now = time.monotonic()
        step = max(1.0, _LINE_SHARE * (self.total or 0))
        is_due = now - self._shown_at >= _LINE_S and self.done - self._shown_done >= step
        if is_end or is_due:
            self._shown_at, self._shown_done = now, self.done
            print(self.text(), file=self._file, flush=True)

    def _show_bar(self, is_end: bool) -> None:
        now = time.monotonic()
        if not is_end and now - self._shown_at < _BAR_S:
            return
        self._shown_at = now
        text = self.text()
        columns = shutil.get_terminal_size().columns - 1
        room = min(30, columns - len(text) - 4)
        if self.total and room >= 5:
            filled = min(room, room * self.done // self.total)
            text = f"[{'#' * filled}{'.' * (room - filled)}] {text}"
        text = text[:columns]
        # Spaces over the rest of a longer line before.
        self._file.write("\r" + text.ljust(self._width) + ("\n" if is_end else ""))
        self._file.flush()
        self._width = len(text)

    def _show_call(self, is_end: bool) -> None:
        if not is_end:
            self._call(self.done, self.total)

    def _show_tqdm(self, is_end: bool) -> None:
        self._tqdm.update(self.done - self._tqdm.n)
        if is_end:
            self._tqdm.close()


def track(iterable: Iterable[T], total: int | None = None, **options: Any) -> Iterator[T]:
    """Yields from an iterable, and shows how many items have passed.

    Parameters
    ----------
    iterable : iterable
    total : int, optional
        Default: its length, if it has one.
    **options
        As of `Progress`.

    Examples
    --------
    >>> from h5part.progress import track
    >>> sum(track([1, 2, 3], progress=None))
    6
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with Progress(total, **options) as progress:
        for item in iterable:
            yield item
            progress.update()


def duration(seconds: float) -> str:
    """Returns a time in words that fit a line: ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
