"""The program of a task: computes for a while, then commits its rows; `task.py H5PART STORE SECONDS`."""

import os
import struct
import subprocess
import sys
import time

h5part, store, seconds = sys.argv[1:]
rows = os.environ["H5PART_ROWS"]
first, end = map(int, rows.split(":"))
time.sleep(float(seconds))
values = struct.pack(f"<{end - first}d", *(row * row for row in range(first, end)))
# Ledger, task and fence are in the environment: what a program commits that has lost its task is refused.
command = [h5part, "update", store, "run", "--rows", rows, "--set", "energy=-"]
sys.exit(subprocess.run(command, input=values).returncode)
