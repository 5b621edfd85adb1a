"""A script of a user: `sweep.py STORE LOGS`, which submits itself as a job array, each element of which runs it again."""

import json
import sys
import time

import h5part


def energy(rows):
    time.sleep(0.5)
    return {"energy": rows.astype("f8") ** 2}


if __name__ == "__main__":
    store, logs = sys.argv[1:]
    array = h5part.slurm.Array(name="it's a sweep", logs=logs)
    done = h5part.run(
        energy, h5part.open(store)["run"], block=2, workers=2, mode="slurm", elements=8, array=array, progress=None
    )
    print(json.dumps({"jobs": [[job.id, job.elements] for job in done.submitted], "done": done.done, "ok": done.ok}))
