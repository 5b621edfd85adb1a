#!/bin/sh
# A parameter sweep with an external program: each value of a parameter is a task of a ledger, the program
# runs once for each, several at a time, and all of them write into one HDF5 file.
#
#     examples/sweep.sh
#
# Killed at any instant and started again, it goes on with the values that are missing. Anybody may look
# meanwhile:
#
#     h5part ledger status sweep.ledger
#     h5part status sweep.h5
#
# The program is the logistic map x -> r x (1 - x): for which r is it chaotic? It knows nothing of h5part.
# Replace it by yours.
#
# In the environment, if the defaults don't suit: H5PART (the program), DIR (where to work), VALUES (how
# many), JOBS (how many at a time; default: as many as fit).

set -eu

H5PART=${H5PART:-h5part}
DIR=${DIR:-.}
VALUES=${VALUES:-41}
store=$DIR/sweep.h5
ledger=$DIR/sweep.ledger

# simulate R: prints mean and Lyapunov exponent; above 0, neighbours part ways. All digits are printed, so
# that every bit arrives.
simulate() {
    awk -v r="$1" 'BEGIN {
        x = 0.4
        for (i = 0; i < 500; i++) x = r * x * (1 - x)
        for (i = 0; i < 5000; i++) {
            x = r * x * (1 - x)
            mean += x
            slope = r * (1 - 2 * x)
            lyapunov += log(slope < 0 ? -slope : slope == 0 ? 1e-300 : slope)
        }
        printf "%.17g %.17g\n", mean / 5000, lyapunov / 5000
    }'
}

# A task: run the program, commit what it says. h5part run has put ledger, task and claim into the
# environment: what a task writes that was taken over by another worker meanwhile is refused.
if [ "${1:-}" = task ]; then
    r=$2
    rows=$3
    values=$(simulate "$r")
    printf '{"rows": "%s", "set": {"r": %s, "mean": %s, "lyapunov": %s}}\n' "$rows" "$r" ${values} |
        "$H5PART" update "$store" runs --stream >/dev/null
    exit
fi

if ! [ -e "$store" ]; then
    "$H5PART" create "$store" runs --rows "$VALUES" --column r:f64 --column mean:f64 --column lyapunov:f64
fi

# A task for each value, named by it; task i fills row i, and is done when that row is there.
if ! [ -e "$ledger" ]; then
    awk -v n="$VALUES" 'BEGIN { for (i = 0; i < n; i++) printf "%.17g\n", 2.8 + 1.2 * i / (n - 1) }' |
        "$H5PART" ledger init "$ledger" --tasks - --store "$store" --table runs
fi

export H5PART DIR
"$H5PART" run "$ledger" ${JOBS:+-j "$JOBS"} -- "$0" task '{name}' '{rows}'

echo
echo "r and Lyapunov exponent:"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for column in r lyapunov; do
    "$H5PART" read "$store" runs "$column" --rows : >"$work/$column"
done
paste "$work/r" "$work/lyapunov"
