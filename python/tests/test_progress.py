"""Progress on a terminal, without one, with tqdm and with a callable."""

from __future__ import annotations

import io
from typing import Any

import pytest

from h5part import progress
from h5part.progress import Progress, duration, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_come_once_per_share_and_minute(clock: Any) -> None:
    out = io.StringIO()
    with Progress(100, file=out, name="sweep", unit="rows") as shown:
        for _ in range(100):
            clock.now += 20
            shown.update()
    lines = out.getvalue().splitlines()
    # 5 % take 100 s here, longer than a minute: 20 lines, and the end.
    assert len(lines) == 21
    assert lines[0] == "sweep: 5 of 100 rows (5 %), 1 min 40 s, 31 min 40 s left"
    assert lines[-1] == "sweep: 100 of 100 rows (100 %), 33 min 20 s"


def test_fast_work_is_one_line(clock: Any) -> None:
    out = io.StringIO()
    assert list(track(range(1000), file=out)) == list(range(1000))
    assert out.getvalue() == "1000 of 1000 items (100 %), 0 s\n"


def test_without_a_total(clock: Any) -> None:
    out = io.StringIO()
    list(track((x for x in range(3)), file=out, unit="tasks"))
    assert out.getvalue() == "3 tasks, 0 s\n"


def test_a_bar_is_one_line(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    with Progress(10, file=out) as shown:
        for _ in range(10):
            clock.now += 1
            shown.update()
    text = out.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    parts = text.rstrip("\n").split("\r")[1:]
    assert len(parts) == 11 and max(len(part) for part in parts) < 60
    assert parts[4].startswith("[") and "5 of 10 items (50 %)" in parts[4]
    assert "." not in parts[-1].split("]")[0]


def test_a_callable() -> None:
    seen: list[Any] = []
    list(track("abc", progress=lambda done, total: seen.append((done, total))))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_none_and_bad() -> None:
    out = io.StringIO()
    for nothing in (None, False):
        list(track("abc", progress=nothing, file=out))
    assert out.getvalue() == ""
    with pytest.raises(ValueError, match="progress: expected"):
        Progress(1, progress="loud")


def test_tqdm() -> None:
    pytest.importorskip("tqdm")
    out = io.StringIO()
    assert list(track("abc", progress="tqdm", name="letters", file=out)) == ["a", "b", "c"]
    assert "letters" in out.getvalue() and "3/3" in out.getvalue()


def test_an_exception_ends_the_line() -> None:
    out = Terminal()
    with pytest.raises(KeyError), Progress(3, file=out) as shown:
        shown.update()
        raise KeyError
    assert out.getvalue().endswith("\n")


def test_durations() -> None:
    assert [duration(s) for s in (0, 59, 60, 3599, 3600, 90000)] == [
        "0 s", "59 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "25 h 00 min",
    ]  # fmt: skip
