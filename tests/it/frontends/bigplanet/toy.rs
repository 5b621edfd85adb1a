//! A small system in the manner of vplanet: input files, logs, outputs, and a program that lists options.

use super::{ok_in, run_in};
use crate::common::support::Scratch;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// As `vplanet -H` prints them: name, type, custom unit, dimension, default.
const OPTIONS: [(&str, &str, &str, &str, &str); 14] = [
    ("bDoForward", "Bool", "", "", "0"),
    ("dAtmPressure", "Double", "", "pressure", "1"),
    ("dEcc", "Double", "", "nd", "0"),
    ("dMass", "Double", "Mearth", "mass", "1 Earth Mass"),
    ("dSemi", "Double", "AU", "length", "1 AU"),
    ("dSpecificHeat", "Double", "", "energy/temperature/mass", "1000"),
    ("dTidalRate", "Double", "", "angle/time", "0"),
    ("sName", "String", "", "", "None"),
    ("saOutputOrder", "String-Array", "", "", "None"),
    ("sUnitAngle", "String", "", "", "Radians"),
    ("sUnitLength", "String", "", "", "cm"),
    ("sUnitMass", "String", "", "", "grams"),
    ("sUnitTemp", "String", "", "", "Kelvin"),
    ("sUnitTime", "String", "", "", "Seconds"),
];

/// How an ensemble differs from the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways {
    /// It goes back in time.
    pub backward: bool,
    /// It has a climate, and seasons.
    pub climate: bool,
    /// The planet's output has a name of the user's choice.
    pub out_file: bool,
}

/// An ensemble of trials `a0`, `a1`... in the folder `MP`, with its bpl.in.
pub struct Toy {
    scratch: Scratch,
    ways: Ways,
}

impl Toy {
    pub fn new(trials: usize) -> Self {
        Self::with(trials, Ways::default())
    }

    pub fn with(trials: usize, ways: Ways) -> Self {
        let toy = Self { scratch: Scratch::in_memory(), ways };
        toy.bpl("bpl.in", "");
        toy.program();
        (0..trials).for_each(|k| toy.trial(&format!("a{k}"), k));
        toy
    }

    pub fn folder(&self) -> PathBuf {
        self.scratch.path("")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.scratch.text(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("writes");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("reads")
    }

    /// Changes a file.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name}: {text}");
        self.write(name, text.replace(from, to));
    }

    /// Writes an input file with more lines than usual.
    pub fn bpl(&self, name: &str, more: &str) {
        let usual = "sDestFolder MP\nsaBodyFiles star.in $\n  planet.in\nsPrimaryFile vpl.in\n";
        self.write(name, format!("{usual}{more}"));
    }

    /// Arguments of `h5part bigplanet` with the toy's vplanet, and more.
    pub fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
        ["bigplanet", "--vplanet", "bin/vplanet"].into_iter().chain(more.iter().copied()).collect()
    }

    pub fn run(&self, more: &[&str]) -> (i32, String, String) {
        run_in(&self.folder(), &Self::args(more))
    }

    pub fn ok(&self, more: &[&str]) -> String {
        ok_in(&self.folder(), &Self::args(more))
    }

    /// Writes a program that lists options, to be found on a PATH with `bin`.
    fn program(&self) {
        let mut text =
            "#!/bin/sh\necho asked >> \"$(dirname \"$0\")/asked\"\ncat <<'END'\nInput Options\n\n".to_owned();
        for (name, kind, custom, dimension, default) in OPTIONS {
            let _ = writeln!(text, "+---+\n| {:<84} |\n+---+", format!("**{name}**"));
            for (key, value) in [
                ("Description", "what it is, Dimension(s) and all"),
                ("Type", kind),
                ("Custom unit", custom),
                ("Dimension(s)", dimension),
                ("Default value", default),
            ] {
                if !value.is_empty() {
                    let _ = writeln!(text, "| {key:<15} || {value:<66} |\n+---+");
                }
            }
        }
        text += "Output Parameters\n\n+---+\n| **Time**    |\n+---+\n| Custom unit     || Gyr   |\nEND\n";
        fs::create_dir_all(self.path("bin")).expect("folder");
        self.write("bin/vplanet", text);
        fs::set_permissions(self.path("bin/vplanet"), fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    /// Adds one trial, as vplanet leaves it.
    pub fn trial(&self, name: &str, k: usize) {
        let folder = format!("MP/{name}");
        fs::create_dir_all(self.path(&folder)).expect("folder");
        let file = |name: &str, text: String| self.write(&format!("{folder}/{name}"), text);
        let direction = if self.ways.backward { "bDoBackward 1" } else { "bDoForward 1" };
        file("vpl.in", format!("{VPL}{direction}\n"));
        file("star.in", "# a star\nsName star\ndMass 1.0\n".to_owned());
        let out_file = if self.ways.out_file { "sOutFile mine.txt\n" } else { "" };
        file("planet.in", format!("{PLANET}dSemi {}\n{out_file}", 1.0 + k as f64 / 2.0));
        file("toy.log", self.log(k));
        let default = if self.ways.backward { "toy.planet.backward" } else { "toy.planet.forward" };
        file(if self.ways.out_file { "mine.txt" } else { default }, columns(k, 40, 4));
        if self.ways.climate {
            file("toy.planet.Climate", columns(k + 100, 12, 2));
            fs::create_dir_all(self.path(&format!("{folder}/SeasonalClimateFiles"))).expect("folder");
            for name in SEASONS {
                file(&format!("SeasonalClimateFiles/toy.planet.{name}.0"), columns(k + 200, 5, 3));
            }
        }
    }

    fn log(&self, k: usize) -> String {
        let mut text = "-------- Log file toy.log -------\n\nExecutable: vplanet\nSystem Name: toy\n\n".to_owned();
        let grid = if self.ways.climate { " Latitude[deg] TempLat[K]" } else { "" };
        for (when, number) in [("INITIAL", k), ("FINAL", k + 50)] {
            let mut random = Random(number as u64);
            let mut value = || random.value();
            let _ = write!(
                text,
                "---- {when} SYSTEM PROPERTIES ----\n(Age) System Age [sec]: {} \n(TotEnergy) Total (all of it) [kg*m^2/sec^2]: {} \n\n\
                 ----- BODY: star ----\nActive Modules: STELLAR\n(Mass) Mass [kg]: {} \n(BodyType) Type of Body (0 == planet) []: 0.000000 \n\
                 ----- STELLAR PARAMETERS (star)------\n(RotRate) Rotational Frequency [/sec]: {} \n\nOutput Order:\nGrid Output Order:\n\n\
                 ----- BODY: planet ----\n(Mass) Mass [kg]: {} \n(Mass) Mass [kg]: {} \n(TCore) Core [K]: nan \n\n\
                 Output Order: Time[Gyr] TCore[K] Ecc[] Flux[W/m^2] \nGrid Output Order:{grid}\n\n",
                value(),
                value(),
                value(),
                value(),
                value(),
                value(),
            );
        }
        text
    }
}

const SEASONS: [&str; 8] = [
    "DailyInsol",
    "PlanckB",
    "SeasonalDivF",
    "SeasonalFIn",
    "SeasonalFMerid",
    "SeasonalFOut",
    "SeasonalIceBalance",
    "SeasonalTemp",
];

const VPL: &str = "# all of it\nsSystemName toy # a name\nsaBodyFiles star.in $\n   planet.in\n\nsUnitMass solar\nsUnitLength aU\n\
    #sUnitTemp C\nsUnitTime YEARS # or not\ndStopTime 4.5e9  #1e10\n";
/// A blank line and a comment that BigPlanet takes for a choice of units, and continued lines.
const PLANET: &str = "sName\t planet # mine\n-dMass -1.0\n#sUnitTemp F\ndEcc 0.1\ndEcc 0.2\n\nsUnitMass kg\ndTidalRate 3\n\
    dAtmPressure -2 # bar\ndSpecificHeat 1e3\ndUnknown -7\nsaOutputOrder -Time $ # t\n # between\n  --TCore Ecc $\n -Flux\n";

/// A poor random number generator, good enough here.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11
    }

    /// A number as vplanet prints it.
    pub fn value(&mut self) -> String {
        let (digits, exponent, how) = (self.next() % 20_000_000, self.next() % 80, self.next() % 4);
        let digits = digits as f64 / 1e6 - 10.0;
        match how {
            0 => format!("{digits:.6}"),
            1 => "0.000000".to_owned(),
            _ => format!("{digits:.6}e{:+03}", exponent as i64 - 40),
        }
    }
}

fn columns(seed: usize, rows: usize, columns: usize) -> String {
    let mut random = Random(seed as u64);
    let mut text = String::new();
    for _ in 0..rows {
        for _ in 0..columns {
            text += &random.value();
            text += " ";
        }
        text += "\n";
    }
    text
}
