#!/bin/sh
# Energies and forces of the frames of an mbe_automation structure: several workers compute their shares and save
# them into one HDF5 file, which Python reads and writes as before.
#
#     examples/mbe.sh
#
# Killed at any instant and started again, it goes on with the frames that are missing. Anybody may look
# meanwhile:
#
#     h5part mbe status argon.hdf5
#
# The frames are clusters of four argon atoms, the level of theory is the Lennard-Jones potential. Replace both by
# yours: a file that mbe_automation has made, and your program in place of `compute`. In a SLURM job array each task
# is a worker, with --chunk slurm.
#
# In the environment, if the defaults don't suit: H5PART (the program), DIR (where to work), FRAMES (how many),
# WORKERS (how many).

set -eu

H5PART=${H5PART:-h5part}
DIR=${DIR:-.}
FRAMES=${FRAMES:-40}
WORKERS=${WORKERS:-2}
file=$DIR/argon.hdf5
xyz=$DIR/argon.xyz
key=training/argon
method=lennard-jones/12-6

# Clusters around a tetrahedron, each a little different.
make_frames() {
    awk -v n="$FRAMES" 'BEGIN {
        srand(7)
        for (f = 0; f < n; f++) {
            printf "4\nProperties=species:S:1:pos:R:3 frame=%d\n", f
            for (a = 0; a < 4; a++)
                printf "Ar %.6f %.6f %.6f\n", 2.7 * (a % 2) + 0.4 * rand(), 2.7 * (a > 1) + 0.4 * rand(), \
                    2.7 * (a == 1 || a == 2) + 0.4 * rand()
        }
    }'
}

# Reads numbers of frames, one a line, and says energy (eV an atom) and forces (eV/A) of each as h5part mbe save
# --stream takes them. All digits are printed, so that every bit arrives.
compute() {
    awk '
        FNR == NR {                                 # the frames: 4, comment, four atoms
            line = (NR - 1) % 6
            if (line > 1) for (c = 0; c < 3; c++) at[int((NR - 1) / 6), line - 2, c] = $(c + 2)
            next
        }
        {
            energy = 0
            split("", force)
            for (i = 0; i < 4; i++) for (j = i + 1; j < 4; j++) {
                r2 = 0
                for (c = 0; c < 3; c++) { d[c] = at[$1, i, c] - at[$1, j, c]; r2 += d[c] * d[c] }
                s6 = (3.4 * 3.4 / r2) ^ 3
                energy += 4 * 0.0104 * (s6 * s6 - s6)
                slope = 24 * 0.0104 * (2 * s6 * s6 - s6) / r2
                for (c = 0; c < 3; c++) { force[i, c] += slope * d[c]; force[j, c] -= slope * d[c] }
            }
            text = ""
            for (a = 0; a < 4; a++) text = text sprintf("%s[%.17g, %.17g, %.17g]", a ? ", " : "", force[a, 0], force[a, 1], force[a, 2])
            printf "{\"frames\": [%d], \"set\": {\"energies\": [%.17g], \"forces\": [[%s]]}}\n", $1, energy / 4, text
        }' "$xyz" -
}

# A worker: the frames of its share that are still to be computed, computed and saved one by one.
worker() {
    "$H5PART" mbe select "$file" "$key" --method "$method" --chunk "$1/$WORKERS" |
        compute |
        "$H5PART" mbe save "$file" "$key" --method "$method" --stream >/dev/null
}

if ! [ -e "$file" ]; then
    make_frames >"$xyz"
    "$H5PART" mbe create "$file" "$key" --xyz "$xyz"
fi
"$H5PART" mbe init "$file" "$key" --method "$method"

workers=
for part in $(seq "$WORKERS"); do
    worker "$part" &
    workers="$workers $!"
done
for worker in $workers; do
    wait "$worker"
done

"$H5PART" mbe status "$file"
echo "lowest energies, eV an atom:"
"$H5PART" mbe read "$file" "$key" --method "$method" | sort -k3g | head -3
