//! The examples run, and do what their page says.

use crate::common::support::{Scratch, finished, ok, py};
use std::path::{Path, PathBuf};
use std::process::Command;

fn example(name: &str) -> Command {
    let path: PathBuf = Path::new(env!("CARGO_BIN_EXE_h5part")).with_file_name("examples").join(name);
    assert!(path.exists(), "{} is not built: cargo build --release --examples", path.display());
    Command::new(path)
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

#[test]
fn lennard_jones() {
    let scratch = Scratch::new();
    let output = example("lennard_jones").arg(scratch.text("demo")).args(["--frames", "400"]).output();
    let (code, out, err) = finished(&output.expect("starts"));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("400 of 400 frames"), "{out}");
    assert!(ok(&["info", &scratch.text("demo/lj.h5")]).contains("400 rows"));
}

#[test]
fn crate_tour() {
    let (code, out, err) = finished(&example("crate_tour").output().expect("starts"));
    assert!(code == 0 && !out.is_empty(), "{out}{err}");
}

#[test]
fn stream_py() {
    let scratch = Scratch::new();
    if py("", &[]).is_none() {
        return;
    }
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command.arg(source("stream.py")).arg(env!("CARGO_BIN_EXE_h5part")).arg(scratch.path("x.h5"));
    let (code, out, err) = finished(&command.output().expect("starts"));
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn slurm_array() {
    let scratch = Scratch::new();
    if py("", &[]).is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_BIN_EXE_h5part")).parent().expect("folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let script = |argument: Option<&str>, task: u32| {
        let mut command = Command::new("bash");
        command.arg(source("slurm_array.sh")).args(argument).env("PATH", &path).env("ROWS", "40");
        command.env("SLURM_ARRAY_TASK_ID", task.to_string());
        let output = command.current_dir(scratch.path("x").parent().expect("folder")).output().expect("bash");
        let (code, out, err) = finished(&output);
        assert_eq!(code, 0, "{out}{err}");
    };
    script(Some("create"), 0);
    assert_eq!(ok(&["status", &scratch.text("results.h5"), "run", "--missing"]), "0:40\n");
    script(None, 1);
    assert_eq!(ok(&["status", &scratch.text("results.h5"), "run", "--missing"]), "0:10,20:40\n");
    for task in [0, 2, 3] {
        script(None, task);
    }
    assert_eq!(ok(&["status", &scratch.text("results.h5"), "run", "--missing"]), "\n");
}

/// Runs an example to its end. It must exit with 0.
fn output_of(name: &str, args: &[&str]) -> (String, String) {
    let output = example(name).args(args).env_remove("H5PART_DISTRIBUTE").output().expect("starts");
    let (code, out, err) = finished(&output);
    assert_eq!(code, 0, "{name} {args:?}: {out}{err}");
    (out, err)
}

#[test]
fn char_count() {
    let scratch = Scratch::new();
    let texts = ["ää\nb\n".repeat(175), "b".repeat(1000), String::new(), "→ \r\n\0".repeat(60)];
    let paths: Vec<String> = (0..texts.len()).map(|k| scratch.text(&format!("{k}.txt"))).collect();
    for (path, text) in paths.iter().zip(&texts) {
        std::fs::write(path, text).expect("writes");
    }
    let all: Vec<char> = texts.iter().flat_map(|text| text.chars()).collect();
    let count = |wanted: char| all.iter().filter(|c| **c == wanted).count();
    let args: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut said = Vec::new();
    for mode in ["serial", "threads", "processes"] {
        let (out, err) = output_of("char_count", &[&["--mode", mode, "--workers", "2"], &args[..]].concat());
        assert!(err.contains(&format!("mode {mode}, ")), "{err}");
        // Pieces of a hundred lines: four, one, none, one.
        let total = all.len();
        assert!(
            out.starts_with(&format!("{total} characters, 7 different ones, in 4 texts (6 partial results)")),
            "{out}"
        );
        for character in ['ä', 'b', '\n', '→', '\0'] {
            assert!(out.contains(&format!("{:>8} {character:?}\n", count(character))), "{character:?}: {out}");
        }
        said.push(out);
    }
    assert!(said.iter().all(|out| *out == said[0]), "{said:?}");

    let (code, out, err) = finished(&example("char_count").args([args[0], "nowhere"]).output().expect("starts"));
    assert!(code == 1 && out.contains("in 1 texts") && err.contains("nowhere: No such file"), "{out}{err}");
    assert!(err.contains("2 tasks: 1 done, 1 failed"), "{err}");
}

const TWO_BY_TWO: &str = r#"{"type": "processes", "kwargs": {"max_workers": 2, "oversubscribe": true,
    "parts_in_flight": 1, "inner": {"type": "threads", "kwargs": {"max_workers": 2}}}}"#;

#[test]
fn ensemble_gives_the_same_bits_in_all_pools() {
    let scratch = Scratch::new();
    let run = |name: &str, pool: &str| {
        let file = scratch.text(name);
        let (out, err) = output_of("ensemble", &[&file, "--blocks", "4", "--pool", pool]);
        assert!(err.contains("4 tasks: 4 done, 0 failed, 0 lost"), "{err}");
        assert!(out.contains("the data support the line"), "{out}");
        out
    };
    let serial = run("serial.h5", r#"{"type": "serial"}"#);
    let tables = [("constant", 1), ("line", 2), ("parabola", 3), ("cubic", 4)];
    for (state, parameters) in tables {
        let table = format!("states/{state}");
        let info = ok(&["info", &scratch.text("serial.h5")]);
        assert!(info.contains(&format!("8x{parameters}")) && info.contains("200 rows"), "{info}");
        assert_eq!(ok(&["status", &scratch.text("serial.h5"), &table, "--missing"]), "\n");
    }
    for (name, pool) in [
        ("threads.h5", r#"{"type": "threads", "kwargs": {"max_workers": 3}}"#),
        ("processes.h5", r#"{"type": "processes", "kwargs": {"max_workers": 4}}"#),
        ("two.h5", TWO_BY_TWO),
        (
            "inner.h5",
            r#"{"type": "threads", "kwargs": {"max_workers": 2, "oversubscribe": true,
            "inner": {"type": "processes", "kwargs": {"max_workers": 2}}}}"#,
        ),
    ] {
        assert_eq!(run(name, pool), serial, "{name}");
    }
}

#[test]
fn ensemble_with_a_worker_killed_and_one_that_goes_on_give_the_same_bits() {
    let scratch = Scratch::new();
    let (serial, _) = output_of("ensemble", &[&scratch.text("s.h5"), "--pool", r#"{"type": "serial"}"#]);
    let (out, err) = output_of("ensemble", &[&scratch.text("k.h5"), "--kill", "--pool", TWO_BY_TWO]);
    assert!(err.contains(" was killed\n") && err.contains("; 1 attempts were retries"), "{err}");
    assert_eq!(out, serial, "{err}");
    // In two runs: the second finds what the first committed.
    output_of("ensemble", &[&scratch.text("g.h5"), "--blocks", "3"]);
    let (out, _) = output_of("ensemble", &[&scratch.text("g.h5")]);
    assert_eq!(out, serial);
    let (code, _, err) =
        finished(&example("ensemble").args([&scratch.text("g.h5"), "--seed", "1"]).output().expect("ran"));
    assert!(code == 1 && err.contains("another seed than 1: Some(Int(42))"), "{err}");
    let (out, _) = output_of("ensemble", &[&scratch.text("o.h5"), "--seed", "1"]);
    assert_ne!(out, serial);
}

#[test]
fn sweep() {
    let scratch = Scratch::new();
    let folder = scratch.path("");
    let script = || {
        let mut command = Command::new("sh");
        command.arg(source("sweep.sh")).env("H5PART", env!("CARGO_BIN_EXE_h5part")).env("DIR", &folder);
        command.env("VALUES", "13").env("JOBS", "2").env_remove("H5PART_DISTRIBUTE");
        let (code, out, err) = finished(&command.output().expect("starts"));
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("13 of 13 tasks are done"), "{out}{err}");
        out.split_once("exponent:\n").expect("values").1.to_owned()
    };
    let values = script();
    let lines: Vec<Vec<f64>> =
        values.lines().map(|line| line.split('\t').map(|x| x.parse().expect("a number")).collect()).collect();
    assert_eq!((lines.len(), lines[0][0], lines[12][0]), (13, 2.8, 4.0));
    // At r = 4 the exponent is ln 2; at 2.8 there is a fixed point of slope 2 - r.
    assert!((lines[12][1] - 2f64.ln()).abs() < 0.02 && (lines[0][1] - 0.8f64.ln()).abs() < 1e-6, "{values}");
    assert_eq!(ok(&["status", &scratch.text("sweep.h5"), "runs", "--missing"]), "\n");

    // Only the lost rows are computed again.
    ok(&["reset", &scratch.text("sweep.h5"), "runs", "--rows", "3,7"]);
    ok(&["ledger", "reconcile", &scratch.text("sweep.ledger")]);
    assert!(ok(&["ledger", "status", &scratch.text("sweep.ledger"), "--json"]).contains(r#""waiting":2"#));
    assert_eq!(script(), values);
}

#[test]
fn grid() {
    let scratch = Scratch::new();
    let folder = scratch.path("");
    let script = || {
        let mut command = Command::new("sh");
        command.arg(source("grid.sh")).env("H5PART", env!("CARGO_BIN_EXE_h5part")).env("DIR", &folder);
        let (code, out, err) =
            finished(&command.env("CORES", "2").env_remove("H5PART_DISTRIBUTE").output().expect("starts"));
        assert!(code == 0 && out.contains("Number of Simulations completed: 15\n"), "{out}{err}");
        out.split_once("years:\n").expect("values").1.to_owned()
    };
    let values = script();
    // With the sun's mass and the Earth's distance, the period is one year.
    assert!(values.contains("semi2_mass1 1.000000 1.000000 1.0000\n") && values.lines().count() == 15, "{values}");
    let log = || std::fs::read_to_string(scratch.path("years/trial_semi2_mass1/vplanet_log")).expect("reads");
    assert_eq!((script(), log()), (values, "computing the year of trial_semi2_mass1\n".to_owned()));
}

#[test]
fn bigplanet() {
    let scratch = Scratch::new();
    let mut command = Command::new("sh");
    command.arg(source("bigplanet.sh")).env("H5PART", env!("CARGO_BIN_EXE_h5part")).env("DIR", scratch.path(""));
    command.env("XDG_CACHE_HOME", scratch.path("cache"));
    let (code, out, err) = finished(&command.output().expect("starts"));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("12 of 12 trials are in Cooling.bpa") && out.contains("Simulations completed: 12\n"), "{out}");
    assert!(out.contains("Cooling.bpa: sound") && out.contains("4 datasets of Cooling.bpa"), "{out}");
    let table = out.split_once(",planet:dMass:option,planet:TMan:final,planet:TMan:mean\n").expect("a table").1;
    let rows: Vec<Vec<f64>> =
        table.lines().map(|line| line.split(',').map(|x| x.parse().expect("a number")).collect()).collect();
    // A heavier planet stays hotter.
    assert_eq!((rows.len(), rows[0][0], rows[11][0]), (12, 0.5, 3.25));
    assert!(rows.windows(2).all(|pair| pair[0][1] < pair[1][1] && pair[0][2] < pair[1][2]), "{table}");
}

#[test]
fn mbe() {
    let scratch = Scratch::new();
    let folder = scratch.path("");
    let script = |workers: &str| {
        let mut command = Command::new("sh");
        command.arg(source("mbe.sh")).env("H5PART", env!("CARGO_BIN_EXE_h5part")).env("DIR", &folder);
        command.env("FRAMES", "11").env("WORKERS", workers);
        let (code, out, err) = finished(&command.output().expect("starts"));
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains("energies and forces, 11 COMPLETED"), "{out}");
    };
    script("3");
    let (file, at) = (scratch.text("argon.hdf5"), ["training/argon", "--method", "lennard-jones/12-6"]);
    let forces = scratch.text("forces.npy");
    let energies = ok(&[&["mbe", "read", &file], &at[..]].concat());
    ok(&[&["mbe", "read", &file], &at[..], &["--forces", &forces]].concat());
    // No force acts from outside, and four atoms have at least the energy of six pairs at their minimum.
    let read = h5part_input::npy::RowSource::open(forces.as_ref()).expect("opens").next_rows(11, 12).expect("forces");
    for frame in read.chunks_exact(12 * 8) {
        let force = |k: usize| f64::from_le_bytes(frame[k * 8..k * 8 + 8].try_into().expect("eight bytes"));
        for c in 0..3 {
            let sum: f64 = (0..4).map(|atom| force(atom * 3 + c)).sum();
            assert!(sum.abs() < 1e-12, "{sum}");
        }
    }
    for line in energies.lines() {
        let energy: f64 = line.rsplit(' ').next().expect("words").parse().expect("a number");
        assert!((-6.0 * 0.0104 / 4.0..-0.01).contains(&energy), "{line}");
    }
    // Nothing is left to do, for any number of workers.
    script("2");
    assert_eq!(ok(&[&["mbe", "read", &file], &at[..]].concat()), energies);
    assert!(ok(&["verify", &file]).contains("sound"));
}
