//! The command line as people and scripts see it: snapshots of help, output and JSON.

use crate::common::support::{Scratch, ok, run};
use serde_json::Value;

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true, filters => vec![
        (r"h5part \d+\.\d+\.\d+", "h5part VERSION"),
        (r"/[^ ,]*/a\.h5", "DIR/a.h5"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
        (r"HDF5 \d+\.\d+\.\d+", "HDF5 VERSION"),
        (r#""hdf5_version":"[^"]*""#, r#""hdf5_version":"VERSION""#),
        (r#""bytes":\d{5,}"#, r#""bytes":BYTES"#),
        (r"[0-9.]+ kB, uuid", "SIZE, uuid"),
        (r"in [0-9.]+ s", "in TIME s"),
        (r#""wall_s":[0-9.e-]+"#, r#""wall_s":TIME"#),
    ]}, { insta::assert_snapshot!(name, text) });
}

/// The names under "Commands:" in a help text, except `help` itself.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Adds the help of a command and of all commands below it. Returns their number.
fn add_help(path: &[&str], text: &mut String) -> usize {
    let help = ok(&[path, &["--help"]].concat());
    if !path.is_empty() {
        *text += &format!("\n======== {}\n", path.join(" "));
    }
    *text += &help;
    subcommands(&help).iter().map(|name| add_help(&[path, &[name]].concat(), text)).sum::<usize>() + 1
}

/// The list of subcommands comes from the program itself, so that none is forgotten here.
#[test]
fn help_of_every_subcommand() {
    let mut text = String::new();
    let count = add_help(&[], &mut text);
    let scratch = Scratch::new();
    ok(&["man", &scratch.text("man")]);
    let pages = std::fs::read_dir(scratch.path("man")).expect("pages").count();
    assert_eq!(count, pages, "as many help texts as manual pages");
    snapshot("help", &text);
}

#[test]
fn a_session() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let create = [
        "create",
        &file,
        "run 1/ground_truth",
        "--rows",
        "40",
        "--column",
        "E_MP2 (eV∕atom):f64",
        "--column",
        "forces:f32:5x3=0",
        "--column",
        "status: x:i64=1",
        "--attr",
        "title=Lennard-Jones",
        "--attr",
        "n=3",
    ];
    let e = scratch.npy("e.npy", &[10], &[0.5; 10]);
    let set = format!("E_MP2 (eV∕atom)={e}");
    let update = ["update", &file, "run 1/ground_truth", "--rows", "0:20:2", "--set", &set];
    let mut text = ok(&create);
    text += &ok(&update);
    text += &ok(&[&update[..], &["--json"]].concat());
    text += &ok(&["info", &file]);
    text += &ok(&["info", &file, "--json"]);
    text += &ok(&["status", &file]);
    text += &ok(&["status", &file, "run 1/ground_truth", "--json"]);
    text += &ok(&["read", &file, "run 1/ground_truth", "E_MP2 (eV∕atom)", "--rows", "0:3"]);
    let (code, out, err) = run(&["read", &file, "run 1/ground_truth", "forces", "--rows", "7"]);
    text += &format!("{code} {out}{err}");
    snapshot("session", &text);
}

#[test]
fn json_of_stress_has_the_documented_keys() {
    let scratch = Scratch::new();
    let out = ok(&["stress", &scratch.text("d"), "--writers", "2", "--rows", "40", "--json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    for key in [
        "writers",
        "rows",
        "batch",
        "commits",
        "wall_s",
        "us_per_commit",
        "mb_per_s",
        "kills",
        "acknowledged",
        "lost",
        "torn",
        "unreadable",
    ] {
        assert!(report[key].is_number(), "{key} in {report}");
    }
    let (wall, commits) = (report["wall_s"].as_f64().expect("f64"), report["commits"].as_f64().expect("f64"));
    assert!((report["us_per_commit"].as_f64().expect("f64") - wall / commits * 1e6).abs() < 1e-3);
}

#[test]
fn attributes_are_typed() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&[
        "create",
        &file,
        "t",
        "--rows",
        "2",
        "--column",
        "E:f64",
        "--attr",
        "n=3",
        "--attr",
        "x=2.5",
        "--attr",
        "on=true",
        "--attr",
        "a=b=text Å",
    ]);
    let opened = hdf5::File::open(&file).expect("opens");
    let group = opened.group("t").expect("t");
    assert_eq!(group.attr("n").expect("n").read_scalar::<i64>().expect("i64"), 3);
    assert!((group.attr("x").expect("x").read_scalar::<f64>().expect("f64") - 2.5).abs() < f64::EPSILON);
    assert!(group.attr("on").expect("on").read_scalar::<bool>().expect("bool"));
    let text: hdf5::types::VarLenUnicode = group.attr("a").expect("a").read_scalar().expect("text");
    assert_eq!(text.as_str(), "b=text Å");
}

#[test]
fn npy_out_and_mask() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "9", "--column", "E:f64"]);
    let e = scratch.npy("e.npy", &[2], &[1.0, 2.0]);
    ok(&["update", &file, "t", "--rows", "8,0", "--set", &format!("E={e}")]);
    let (out, mask) = (scratch.text("out.npy"), scratch.text("mask.npy"));
    assert_eq!(ok(&["read", &file, "t", "E", "--rows", "7:9,0", "-o", &out, "--mask", &mask]), "");
    let mut source = h5part_input::npy::RowSource::open(out.as_ref()).expect("opens");
    assert_eq!(source.shape(), [3]);
    let values: Vec<f64> =
        source.next_rows(3, 1).expect("rows").chunks(8).map(|b| f64::from_le_bytes(b.try_into().expect("8"))).collect();
    assert!(values[0].is_nan() && values[1..] == [1.0, 2.0]);
    let mut source = h5part_input::npy::RowSource::open(mask.as_ref()).expect("opens");
    assert_eq!(source.next_rows(3, 1).expect("rows"), [0, 1, 1]);
    assert_eq!(ok(&["status", &file, "t", "--missing"]), "1:8\n");
    // A pipe stays a pipe.
    let pipe = scratch.text("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut cat =
        std::process::Command::new("cat").arg(&pipe).stdout(std::process::Stdio::piped()).spawn().expect("cat");
    ok(&["read", &file, "t", "E", "--rows", "0", "-o", &pipe]);
    assert!(cat.wait().expect("ends").success());
    assert!(!std::fs::metadata(&pipe).expect("stat").is_file());
}

#[test]
fn completions_and_manual_pages() {
    let scratch = Scratch::new();
    assert!(ok(&["completions", "bash"]).contains("--chunk-rows"));
    ok(&["man", &scratch.text("man")]);
    let page = std::fs::read_to_string(scratch.path("man/h5part-update.1")).expect("page");
    assert!(page.contains("durability"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "100000", "--column", "n:i64"]);
    let line = format!("{} read {file} t n --rows : | head -1; echo ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_h5part"));
    let output = std::process::Command::new("bash").args(["-c", &line]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n0\n");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

/// A large update needs bounded memory and is committed in portions.
#[test]
fn a_large_update_is_streamed() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "3000", "--column", "F:f64:1000x3"]);
    let values: Vec<f64> = (0..3000 * 3000).map(f64::from).collect();
    let npy = scratch.npy("f.npy", &[3000, 1000, 3], &values);
    let report =
        ok(&["update", &file, "t", "--rows", ":", "--set", &format!("F={npy}"), "--durability", "process", "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert!(report["commits"].as_u64() > Some(4), "{report}");
    assert_eq!(report["bytes"], 72_000_000);
    let last = ok(&["read", &file, "t", "F", "--rows", "2999"]);
    assert!(last.trim_end().ends_with("8999999.0"));
}
