#!/bin/bash
# A SLURM job array whose tasks write their results into one HDF5 file, all at the same time.
#
# Make the file, then submit the array:
#
#     examples/slurm_array.sh create
#     sbatch examples/slurm_array.sh
#
# Anybody may look meanwhile, and afterwards h5py, MATLAB and the rest read results.h5 as it is:
#
#     h5part status results.h5
#
# Tasks that were killed, at a time limit for example, are submitted again: each asks the file
# which of its rows are missing and computes only those.
#
#     sbatch --array=3,7 examples/slurm_array.sh
#
# Without SLURM the same script does a task by hand:
#
#     for task in 0 1 2 3; do SLURM_ARRAY_TASK_ID=$task examples/slurm_array.sh & done; wait
#
# In the environment, if the defaults don't suit: H5PART (the program), FILE, ROWS (in all), TASKS,
# BATCH (rows a commit). Python with NumPy makes the values.
#
# All tasks must run on one machine, or share a file system whose locks reach all of them. NFS is
# refused, and h5part says so.

#SBATCH --job-name=h5part-array
#SBATCH --array=0-3
#SBATCH --ntasks=1
#SBATCH --time=01:00:00

set -euo pipefail

H5PART=${H5PART:-h5part}
FILE=${FILE:-results.h5}
ROWS=${ROWS:-1000}
BATCH=${BATCH:-50}
# As --array has it. SLURM's own count would be less when only some are submitted again.
TASKS=${TASKS:-4}
TABLE=run

if [ "${1:-}" = create ]; then
    "$H5PART" create "$FILE" "$TABLE" --rows "$ROWS" --column energy:f64 --column forces:f64:10x3
    exit
fi

task=${SLURM_ARRAY_TASK_ID:?run by sbatch, or with SLURM_ARRAY_TASK_ID=0 in the environment}
first=$((task * ROWS / TASKS))
end=$(((task + 1) * ROWS / TASKS))
if [ "$task" -ge "$TASKS" ] || [ "$first" -eq "$end" ]; then
    echo "task $task: no rows for it among $ROWS rows and $TASKS tasks" >&2
    exit 2
fi

# For row numbers and values: a folder on the node's own disk, removed at the end.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Which rows of this task are there already? --mask writes a .npy file of bool. Both columns of a
# row are committed together: one speaks for both.
"$H5PART" read "$FILE" "$TABLE" energy --rows "$first:$end" --mask "$work/there.npy" -o "$work/energy.npy"

# Split those that are missing into batches: rows_0000.npy, rows_0001.npy, ...
python3 - "$work" "$first" "$BATCH" <<'PYTHON'
import sys, numpy as np
work, first, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
missing = first + np.flatnonzero(~np.load(f"{work}/there.npy"))
for k, at in enumerate(range(0, len(missing), batch)):
    np.save(f"{work}/rows_{k:04}.npy", missing[at : at + batch])
PYTHON

for rows in "$work"/rows_*.npy; do
    [ -e "$rows" ] || break
    # The computation: replace it by yours. Its first axis counts the rows.
    python3 - "$work" "$rows" <<'PYTHON'
import sys, numpy as np
work, rows = sys.argv[1], np.load(sys.argv[2])
np.save(f"{work}/energy.npy", -np.sqrt(rows))
np.save(f"{work}/forces.npy", rows[:, None, None] * np.ones((10, 3)))
PYTHON
    # One commit: a row is there with both columns, or not at all. Value i goes to row i of the list.
    "$H5PART" update "$FILE" "$TABLE" --rows "@$rows" \
        --set energy="$work/energy.npy" --set forces="$work/forces.npy"
done
