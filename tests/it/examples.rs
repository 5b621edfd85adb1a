//! The examples run, and do what their page says.

use crate::support::{Scratch, finished, ok, py};
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
