"""The monitor: its files are those of the Rust monitor."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from h5part.monitor import Monitor, own_peak


def records(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        head, *lines = path.read_text().splitlines()
        assert json.loads(head)["h5part_monitor"] == 1
        found += [json.loads(line) for line in lines]
    return found


def program() -> str:
    found = os.environ.get("H5PART") or shutil.which("h5part")
    if not found:
        pytest.skip("THE PROGRAM h5part IS NOT INSTALLED: set H5PART to its path, or install the wheel")
    return found


def test_a_block_is_a_record(tmp_path: Path) -> None:
    with Monitor("sum", folder=tmp_path) as monitor:
        monitor.counts += 3
        monitor.bytes += 24
        monitor.sent["args"] = 7
    assert monitor.dt >= 0 and monitor.duration == monitor.dt
    (record,) = records(tmp_path)
    assert record["operation"] == "sum" and record["thread"] >= 1
    assert (record["counts"], record["bytes"], record["sent"]) == (3, 24, {"args": 7})
    assert not {"task", "whole", "failed", "weight", "received", "lost", "attempt"} & set(record)


def test_parts_belong_to_the_task(tmp_path: Path) -> None:
    with Monitor("task", folder=tmp_path, task=0, weight=0.0, attempt=1) as monitor, monitor("part") as part:
        part.counts += 1
    with monitor("after"):
        pass
    part_, whole, after = records(tmp_path)
    assert (part_["operation"], part_["task"], part_.get("whole")) == ("part", 0, None)
    assert (whole["task"], whole["whole"], whole["weight"], whole["attempt"]) == (0, True, 0.0, 1)
    assert "task" not in after
    assert len(list(tmp_path.iterdir())) == 1, "one file per process"


def test_a_block_that_raises_has_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Monitor("bad", folder=tmp_path, task=4):
        raise KeyError
    assert records(tmp_path)[0]["failed"] is True
    with Monitor("good", folder=tmp_path):
        pass
    assert "task" not in records(tmp_path)[1]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("H5PART_MONITOR", raising=False)
    with Monitor("x") as monitor:
        monitor.counts += 1
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("H5PART_MONITOR", "m")
    with Monitor("x"):
        pass
    assert len(records(tmp_path / "m")) == 1


def test_iter_measures_each_value(tmp_path: Path) -> None:
    assert list(Monitor("read", folder=tmp_path).iter(iter("abc"))) == ["a", "b", "c"]
    assert [record.get("counts", 0) for record in records(tmp_path)] == [1, 1, 1, 0]


def test_threads_have_numbers_and_share_a_file(tmp_path: Path) -> None:
    def work() -> None:
        for _ in range(100):
            with Monitor("t", folder=tmp_path):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(tmp_path)
    assert len(found) == 400 and len({record["thread"] for record in found}) == 4
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fork_has_a_file_of_its_own(tmp_path: Path) -> None:
    with Monitor("parent", folder=tmp_path):
        pass
    child = os.fork()
    if child == 0:
        try:
            with Monitor("child", folder=tmp_path):
                pass
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    heads = [json.loads(path.read_text().splitlines()[0]) for path in tmp_path.iterdir()]
    assert {head["pid"] for head in heads} == {os.getpid(), child}


def test_memory_is_the_peak_and_rises(tmp_path: Path) -> None:
    before = own_peak()
    with Monitor("ballast", folder=tmp_path) as monitor:
        ballast = b"x" * (before + (64 << 20))
    del ballast
    assert monitor.mem > 0
    record = records(tmp_path)[0]
    assert record["memory_bytes"] >= before + (64 << 20) and record["memory_rise_bytes"] == monitor.mem


def test_a_lost_record_is_told(tmp_path: Path) -> None:
    with Monitor("first", folder=tmp_path):
        pass
    (path,) = tmp_path.iterdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for five bytes, and then for none, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, before[1]))
    try:
        for name in ("a", "b"):
            with Monitor(name, folder=tmp_path):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with Monitor("c", folder=tmp_path):
        pass
    lines = path.read_text().splitlines()
    assert lines[2] == '{"ope' and json.loads(lines[3])["lost"] == 2


def test_a_monitor_is_pickled_within_its_block(tmp_path: Path) -> None:
    with Monitor("outer", folder=tmp_path, task=3) as monitor:
        other = pickle.loads(pickle.dumps(monitor))
        with other:
            pass
    assert [record["operation"] for record in records(tmp_path)] == ["outer", "outer"]


def test_the_program_reads_it(tmp_path: Path) -> None:
    h5part = program()
    for task in range(3):
        with Monitor("compute ä\n", folder=tmp_path, task=task, weight=2) as monitor:
            monitor.counts += 10
            with monitor("part"):
                pass
    with pytest.raises(ValueError), Monitor("compute ä\n", folder=tmp_path, task=3):
        raise ValueError
    done = subprocess.run([h5part, "monitor", str(tmp_path), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    operations = {operation["operation"]: operation for operation in document["operations"]}
    assert set(operations) == {"compute ä\n", "part"}
    whole = operations["compute ä\n"]
    assert (whole["counts"], whole["failed"]) == (30, 1), whole
    assert "cut" not in done.stderr
