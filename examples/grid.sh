#!/bin/sh
# An ensemble on a grid, as vspace and multiplanet make and run it, with a program of one's own: options of a
# template file vary, each combination is a trial with a folder, and the program runs once in each.
#
#     examples/grid.sh
#
# Killed at any instant and started again, it goes on with the trials that are not done. Anybody may look
# meanwhile:
#
#     h5part mpstatus vspace.in
#
# The program is Kepler's third law: how long is a year at this distance from a star of this mass? It knows
# nothing of h5part. With vplanet installed, leave out --command, and give vplanet's own input files.
#
# In the environment, if the defaults don't suit: H5PART (the program), DIR (where to work), CORES (trials
# at a time; default: as many as there are cores).

set -eu

here=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
H5PART=${H5PART:-h5part}

# A trial: run in its folder, with the options of its planet.in and star.in.
if [ "${1:-}" = trial ]; then
    echo "computing the year of ${2}"
    awk '$1 == "dSemi" { a = $2 } $1 == "dMass" { m = $2 } END { printf "%.4f\n", sqrt(a * a * a / m) }' \
        planet.in star.in >year.txt
    exit
fi

cd "${DIR:-.}"
if ! [ -e years ]; then
    mkdir -p templates
    printf 'sName   planet\ndSemi   1      # distance, au\n' >templates/planet.in
    printf 'sName   star\ndMass   1      # mass, suns\nbOld    1\n' >templates/star.in
    cat >vspace.in <<'END'
sSrcFolder   templates
sDestFolder  years
sTrialName   trial_

sBodyFile    planet.in
dSemi        [0.1, 10, l5] semi

sBodyFile    star.in
dMass        [0.5, 1.5, 0.5] mass
rm           bOld
END
    "$H5PART" vspace vspace.in
fi

"$H5PART" multiplanet vspace.in ${CORES:+-c "$CORES"} --command "sh '$here' trial {name}"
"$H5PART" mpstatus vspace.in

echo
echo "trial, distance and mass, and the year in years:"
tail -n +2 years/grid_list.dat | while read -r trial semi mass; do
    echo "$trial $semi $mass $(cat "years/trial_$trial/year.txt")"
done
