#!/bin/sh
# From raw output of trials to one archive, and from there to what a figure needs: as bigplanet does it, with
# the word h5part before it.
#
#     examples/bigplanet.sh
#
# So that it runs where there is no vplanet, a few lines of awk stand in for it here: a planet that cools, once
# for each of its masses. Where there are real trials, leave that part out.
#
# In the environment, if the defaults don't suit: H5PART (the program), DIR (where to work), TRIALS (how many).

set -eu

H5PART=${H5PART:-h5part}
DIR=${DIR:-.}
TRIALS=${TRIALS:-12}
cd "$DIR"

# --- what vspace and vplanet would leave: a folder a trial, with input files, a log, and an output ---

# simulate MASS FOLDER
simulate() {
    mkdir -p "$2"
    printf 'sSystemName cooling\nsUnitMass Earth\nsUnitTime Gyr\nsaBodyFiles planet.in\nbDoForward 1\n' >"$2/vpl.in"
    printf 'sName planet\ndMass %s  # in the units of vpl.in\nsaOutputOrder Time -TMan\n' "$1" >"$2/planet.in"
    awk -v m="$1" -v folder="$2" 'BEGIN {
        forward = folder "/cooling.planet.forward"
        for (t = 0; t <= 4.5; t += 0.1) {
            hot = 1500 + 1500 * exp(-t / (2 * m))
            printf "%.6f %.6f \n", t, hot > forward
        }
        log_ = folder "/cooling.log"
        for (k = 0; k < 2; k++) {
            printf "---- %s SYSTEM PROPERTIES ----\n(Age) System Age [Gyr]: %.6f \n\n", k ? "FINAL" : "INITIAL", k * 4.5 > log_
            printf "----- BODY: planet ----\n(Mass) Mass [kg]: %e \n(TMan) Mantle [K]: %.6f \n\n", m * 5.972186e24, k ? hot : 3000 > log_
            printf "Output Order: Time[Gyr] TMan[K] \n" > log_
        }
    }'
}

k=0
while [ "$k" -lt "$TRIALS" ]; do
    simulate "$(awk -v k="$k" 'BEGIN { printf "%.2f", 0.5 + 0.25 * k }')" "$(printf 'Cooling/mass_m%02d' "$k")"
    k=$((k + 1))
done

# What "vplanet -H" says of the options above: whence the units of their values are known.
cat >vplanet.sh <<'END'
#!/bin/sh
cat <<'TABLE'
| **dMass**          |
| Type            || Double |
| Custom unit     || Mearth |
| Dimension(s)    || mass   |
| **sUnitMass**      |
| Default value   || grams  |
Output Parameters
TABLE
END
chmod +x vplanet.sh

# --- from here on it is as with real trials, but for --vplanet ---

cat >bpl.in <<'END'
sDestFolder   Cooling
saBodyFiles   planet.in
sPrimaryFile  vpl.in
saKeyInclude  planet:dMass:option planet:TMan:final $
              planet:TMan:forward planet:TMan:mean
END

# Killed at any instant and started again, it goes on.
"$H5PART" bigplanet -a bpl.in --vplanet ./vplanet.sh
"$H5PART" bpstatus bpl.in
"$H5PART" verify Cooling.bpa

# What a figure needs, in one file: a dataset a key, a row a trial.
"$H5PART" bigplanet -o bpl.in
# The same as a table.
sed 's/planet:TMan:forward//' bpl.in >table.in
echo 'bUlysses 1' >>table.in
"$H5PART" bigplanet table.in
cat User.csv
