"""Shards and job scripts of SLURM; submission against programs that stand in for it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from h5part import slurm
from h5part.slurm import Array, SlurmError, minutes, parts, shard


def env(**values: object) -> dict[str, str]:
    return {f"SLURM_{name}": str(value) for name, value in values.items()}


def array_env(number: int, first: int, last: int, step: int = 1) -> dict[str, str]:
    count = (last - first) // step + 1
    return env(
        ARRAY_TASK_ID=number, ARRAY_TASK_MIN=first, ARRAY_TASK_MAX=last, ARRAY_TASK_STEP=step, ARRAY_TASK_COUNT=count
    )


def test_shards_of_arrays() -> None:
    assert shard(environ={}) == (0, 1)
    assert [shard(environ=array_env(n, 0, 3)) for n in range(4)] == [(n, 4) for n in range(4)]
    assert [shard(environ=array_env(n, 5, 9, 2)) for n in (5, 7, 9)] == [(0, 3), (1, 3), (2, 3)]
    # --array=0-10:4 ends at 8, whatever MAX says.
    assert shard(environ={**array_env(8, 0, 10, 4)}) == (2, 3)


def test_shards_of_srun() -> None:
    step = env(STEP_ID=0, STEP_NUM_TASKS=4, NTASKS=4, PROCID=3)
    assert shard(environ=step) == (3, 4)
    assert shard(environ={**array_env(1, 0, 1), **step}) == (7, 8)
    # The script itself is one process.
    assert shard(environ=env(NTASKS=4, PROCID=0)) == (0, 1)
    assert shard(environ=env(STEP_ID=0, NTASKS=2, PROCID=1)) == (1, 2)


def test_elements_that_are_submitted_again() -> None:
    again = {**array_env(7, 3, 7), "SLURM_ARRAY_TASK_COUNT": "2"}
    with pytest.raises(SlurmError, match="the array has gaps"):
        shard(environ=again)
    assert shard(10, environ=again) == (7, 10)
    assert shard(environ={**again, "H5PART_SHARDS": "20", "H5PART_FIRST_SHARD": "10"}) == (17, 20)
    with pytest.raises(SlurmError, match="element 7 is not one of 5"):
        shard(5, environ=again)
    with pytest.raises(SlurmError, match="not a number"):
        shard(environ=env(ARRAY_TASK_ID="x"))


def test_all_shards_of_several_arrays_are_the_whole() -> None:
    seen = []
    first = 0
    for size in parts(10, 4):
        for number in range(size):
            told = {**array_env(number, 0, size - 1), "H5PART_SHARDS": "10", "H5PART_FIRST_SHARD": str(first)}
            seen.append(shard(environ=told))
        first += size
    assert seen == [(n, 10) for n in range(10)]


def test_parts() -> None:
    assert parts(10, 4) == [4, 3, 3] and parts(0, 5) == []
    for size in range(1, 50):
        for most in range(1, 20):
            assert sum(parts(size, most)) == size and max(parts(size, most)) <= most


def array(**options: object) -> Array:
    values: dict[str, object] = {
        "name": "sweep",
        "folder": "/home/me",
        "logs": "/data/l.led.part/slurm",
        "worker": ["/bin/h5part", "work", "/data/l.led", "--", "prog", "{name}"],
    }
    return Array(**{**values, **options})  # type: ignore[arg-type]


def test_the_script_is_that_of_the_program() -> None:
    assert array().script(8) == (
        "#!/bin/sh\n#SBATCH --job-name=sweep\n#SBATCH --array=0-7\n#SBATCH --ntasks=1\n"
        "#SBATCH --chdir=/home/me\n#SBATCH --output=/data/l.led.part/slurm/%A_%a.log\n#SBATCH --open-mode=append\n"
        "#SBATCH --requeue\n#SBATCH --signal=B:INT@60\nexec /bin/h5part work /data/l.led -- prog '{name}'\n"
    )


def test_options() -> None:
    text = array(
        throttle=3, partition="short", time="2:00:00", dependency="afterok:12", cpus=4,
        extra=["--account=x --qos=low", "#SBATCH --no-requeue"], environment={"A": "it's"},
    ).script(8)  # fmt: skip
    lines = text.splitlines()
    for line in (
        "--array=0-7%3",
        "--cpus-per-task=4",
        "--partition=short",
        "--time=2:00:00",
        "--dependency=afterok:12",
        "--kill-on-invalid-dep=yes",
        "--account=x --qos=low",
    ):
        assert f"#SBATCH {line}" in lines
    assert lines.index("#SBATCH --no-requeue") > lines.index("#SBATCH --requeue")
    assert shlex.split(lines[-2]) == ["export", "A=it's"]
    signals = [("--signal" in array(time=time).script(1)) for time in ("8", "UNLIMITED", "7")]
    assert signals == [True, True, False]


def test_names_of_any_kind() -> None:
    words = ["/bin/x", "it's $HOME `x`; {name}", "two\nlines", ""]
    text = array(logs="/data/100% of 'it' #1 \"ä\"/slurm", folder='/data/\\ "', worker=words).script(1)
    output = r"""/data/100%% of 'it' #1 \"ä\"/slurm/%A_%a.log"""
    assert f'#SBATCH --output="{output}"\n' in text
    assert '#SBATCH --chdir="/data/\\\\ \\""\n' in text
    assert shlex.split(text.split("exec ", 1)[1]) == words
    for bad in (
        {"partition": "a\nb"}, {"extra": ["a\nb"]}, {"name": "\r"}, {"logs": "/a\\b"}, {"worker": ["a\0"]},
        {"environment": {"A B": "x"}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="cannot write the job script"):
            array(**bad).script(1)


def test_time_limits() -> None:
    cases = {
        "90": 90, "1:30": 2, "0:00": 0, "2:00:00": 120, "1-0": 1440, "1-1:30": 1530, "1-1:30:01": 1531, "0:0:1": 1,
    }  # fmt: skip
    assert {text: minutes(text) for text in cases} == cases
    for text in ("", "UNLIMITED", "1:2:3:4", "-1", "1-", "x", "9" * 20):
        assert minutes(text) is None, text


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that stand in for SLURM's."""
    programs = {
        "scontrol": "echo 'MaxArraySize            = 4'",
        "sbatch": """
            n=$(ls "$CLUSTER" | grep -c '\\.job$'); n=$((n + 11))
            [ -z "$LIMIT" ] || [ $n -lt "$LIMIT" ] || { echo "sbatch: error: limit" >&2; exit 1; }
            cat > "$CLUSTER/$n.job"; env > "$CLUSTER/$n.env"
            echo 'welcome to the cluster'; echo "$n;cluster"
        """,
        "scancel": 'echo "$@" > "$CLUSTER/cancelled"',
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    monkeypatch.delenv("LIMIT", raising=False)
    return tmp_path


def test_submission(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_JOB_NAME", "other")
    worker = ["sh", "-c", 'echo "$H5PART_FIRST_SHARD $H5PART_SHARDS"']
    jobs = Array(worker=worker, logs=cluster / "logs", throttle=2, folder=cluster).submit(10)
    assert [(job.id, job.elements) for job in jobs] == [("11", 4), ("12", 3), ("13", 3)]
    texts = [(cluster / f"{job.id}.job").read_text() for job in jobs]
    assert "dependency" not in texts[0] and "--dependency=afterany:11" in texts[1]
    assert (cluster / "logs/12.sbatch").read_text() == texts[1]
    assert "SBATCH_JOB_NAME" not in (cluster / "11.env").read_text()
    ran = [subprocess.run(["sh", cluster / f"{job.id}.job"], capture_output=True, text=True) for job in jobs]
    assert [done.stdout for done in ran] == ["0 10\n", "4 10\n", "7 10\n"]


def test_a_refusal_leaves_nothing_in_the_queue(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT", "13")
    with pytest.raises(SlurmError, match="cannot run sbatch: sbatch: error: limit"):
        Array(worker=["true"], logs=cluster / "logs").submit(10)
    assert (cluster / "cancelled").read_text() == "--quiet 11 12\n"


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmError, match="SLURM is not installed"):
        Array(worker=["true"], logs=tmp_path).submit(1)
    assert not slurm.is_worker()
