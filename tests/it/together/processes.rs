//! Many processes: disjoint and overlapping writers, kills, and readers beside them.

use crate::common::support::{Scratch, h5part, ok, run};
use h5part_base::dataspace::Rows;
use h5part_engine::store::{CellState, Store};
use serde_json::Value;

fn stress(args: &[&str]) -> Value {
    let scratch = Scratch::new();
    let dir = scratch.text("d");
    let all: Vec<&str> = ["stress", &dir, "--json"].into_iter().chain(args.iter().copied()).collect();
    let (code, out, err) = run(&all);
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    for key in ["lost", "torn", "unreadable"] {
        assert_eq!(report[key], 0, "{args:?}: {report}");
    }
    report
}

#[test]
fn disjoint_writers() {
    let report = stress(&["--writers", "4", "--rows", "4000", "--batch", "7", "--durability", "process"]);
    assert_eq!(report["acknowledged"], 4000);
    assert_eq!(report["commits"], 4 * 143);
}

#[test]
fn overlapping_writers() {
    let args =
        ["--writers", "4", "--rows", "50", "--batch", "5", "--commits", "3000", "--overlap", "--durability", "process"];
    assert_eq!(stress(&args)["commits"], 3000);
}

#[test]
fn overwriting_writers_for_a_while() {
    let report = stress(&["--writers", "3", "--rows", "300", "--batch", "20", "--seconds", "1", "--row-shape", "50x3"]);
    assert_eq!(report["acknowledged"], 300);
}

#[test]
fn killed_writers_on_fresh_rows() {
    let args = [
        "--writers",
        "4",
        "--rows",
        "30000",
        "--batch",
        "3",
        "--kill-every",
        "15",
        "--durability",
        "process",
        "--row-shape",
        "20x3",
    ];
    let report = stress(&args);
    assert_eq!(report["acknowledged"], 30000);
    assert!(report["kills"].as_u64() > Some(3), "{report}");
}

#[test]
fn killed_writers_among_overwrites() {
    let own = [
        "--writers",
        "4",
        "--rows",
        "60",
        "--batch",
        "5",
        "--seconds",
        "4",
        "--kill-every",
        "15",
        "--durability",
        "process",
    ];
    let report = stress(&own);
    assert!(report["kills"].as_u64() > Some(5), "{report}");
    let shared = [&own[..], &["--overlap", "--row-shape", "200x3"]].concat();
    let report = stress(&shared);
    assert!(report["kills"].as_u64() > Some(5), "{report}");
}

#[test]
fn killed_writers_and_a_number_of_commits() {
    let args = ["--writers", "2", "--rows", "40", "--batch", "4", "--commits", "2000", "--kill-every", "20"];
    assert!(stress(&args)["commits"].as_u64() >= Some(2000));
}

#[test]
fn the_bare_limit_writes_the_same_values() {
    assert_eq!(stress(&["--writers", "2", "--rows", "500", "--batch", "10", "--bare"])["acknowledged"], 500);
}

/// Readers beside overwriting writers see whole rows, old or new, never a mixture.
#[test]
fn readers_beside_writers_see_whole_rows() {
    let scratch = Scratch::new();
    let dir = scratch.text("d");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"));
    let args =
        ["stress", &dir, "--writers", "3", "--rows", "40", "--batch", "4", "--seconds", "3", "--durability", "process"];
    let mut child = command.args(args).stdout(std::process::Stdio::null()).spawn().expect("starts");
    let file = scratch.path("d/stress.h5");
    let mut rows_seen = 0u64;
    while child.try_wait().expect("wait").is_none() {
        let Ok(mut reader) = Store::open(&file).and_then(|s| s.reader("stress")) else { continue };
        for _ in 0..50 {
            let block = reader.read("F", &Rows::range(0..40)).expect("reads beside writers");
            let values = block.array::<f64>().expect("f64");
            for (row, state) in block.states().iter().enumerate() {
                assert_ne!(*state, CellState::Changed, "row {row} does not match its stamp");
                if state.is_present() {
                    rows_seen += 1;
                    let cell = values.index_axis(ndarray::Axis(0), row);
                    let first = cell[[0, 0]];
                    // Element j is the first plus j thousandths if all are from one commit.
                    let whole = cell.iter().enumerate().all(|(j, &v)| (v - first - j as f64 * 1e-3).abs() < 1e-6);
                    assert!(whole, "row {row} is a mixture");
                }
            }
        }
    }
    assert!(rows_seen > 1000, "only {rows_seen} rows were seen");
}

/// Hosts are stood for by a command that runs the workers here. Each "host" keeps a board of its own.
#[test]
fn writers_on_several_hosts_with_kills() {
    let peers = ["--peer", "one", "--peer", "two", "--launch", "env HOST={host}"];
    let load = ["--writers", "2", "--rows", "300", "--batch", "3", "--kill-every", "30", "--kills", "20"];
    let report = stress(&[&peers[..], &load].concat());
    assert_eq!((report["writers"].as_u64(), report["kills"].as_u64()), (Some(6), Some(20)), "{report}");
    assert!(report["acknowledged"].as_u64().is_some_and(|rows| rows > 0), "{report}");
}

#[test]
fn stress_refuses_what_it_cannot_do() {
    let scratch = Scratch::new();
    let (code, _, err) = run(&["stress", &scratch.text("d"), "--kill-every", "20", "--bare"]);
    assert_eq!(code, 2);
    assert!(err.contains("cannot be used with"), "{err}");
    std::fs::write(scratch.path("x"), b"").expect("write");
    let dir = scratch.path("x").parent().expect("parent").to_str().expect("UTF-8").to_owned();
    let (code, _, err) = run(&["stress", &dir]);
    assert!(code == 2 && err.contains("not empty"), "{err}");
}

/// Many commits of a job through one process.
#[test]
fn a_stream_of_commits() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "1000", "--column", "E:f64", "--column", "n:i32:2", "--column", "b:bool"]);
    let npy = scratch.npy("e.npy", &[3], &[1.5, 2.5, 3.5]);
    let mut lines = String::new();
    for row in 0..500 {
        lines += &format!(
            "{{\"rows\": {row}, \"set\": {{\"E\": {row}.25, \"n\": [{row}, -{row}], \"b\": true}}, \"id\": {row}}}\n"
        );
    }
    lines += &format!("{{\"rows\": \"997:1000\", \"set\": {{\"E\": {npy:?}}}}}\n");
    lines += "{\"rows\": [600, 599], \"set\": {\"E\": [1, null], \"n\": [[1, 2], [3, 4]]}}\n";
    lines +=
        "{\"rows\": 5000, \"set\": {\"E\": 1}}\n{\"rows\": 1}\nnonsense\n{\"rows\": 7, \"set\": {\"n\": [1, 2.5]}}\n";
    lines += "{\"rows\": 601, \"set\": {\"E\": 4}}\n";
    let output =
        h5part().args(["update", &file, "t", "--stream", "--durability", "process"]).write_stdin(lines).output();
    let (code, out, err) = crate::common::support::finished(&output.expect("runs"));
    assert_eq!(code, 1, "{err}");
    let answers: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(answers.len(), 507);
    assert!(answers[..502].iter().all(|a| a["ok"] == true), "{:?}", answers.iter().find(|a| a["ok"] != true));
    assert_eq!(answers[499]["id"], 499);
    let codes: Vec<u64> = answers[502..506].iter().filter_map(|a| a["code"].as_u64()).collect();
    assert_eq!(codes, [3, 2, 2, 4]);
    assert_eq!(answers[506]["ok"], true);
    assert_eq!(
        ok(&["read", &file, "t", "E", "--rows", "498:500,997:1000,600,601"]),
        "498.25\n499.25\n1.5\n2.5\n3.5\n1.0\n4.0\n"
    );
    assert_eq!(ok(&["read", &file, "t", "n", "--rows", "3,599"]), "3 -3\n3 4\n");
}

/// Numbers in JSON lines arrive bit for bit.
#[test]
fn inline_numbers_keep_their_last_bit() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "2000", "--column", "E:f64"]);
    let mut x = 0x9E37_79B9_7F4A_7C15u64;
    let values: Vec<f64> = (0..2000)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 11) as f64 / 1e9
        })
        .collect();
    let lines: String =
        values.iter().enumerate().map(|(row, v)| format!("{{\"rows\": {row}, \"set\": {{\"E\": {v:?}}}}}\n")).collect();
    let output =
        h5part().args(["update", &file, "t", "--stream", "--durability", "process"]).write_stdin(lines).output();
    assert_eq!(crate::common::support::finished(&output.expect("runs")).0, 0);
    let block = Store::open(&file).and_then(|s| s.reader("t")?.read("E", &Rows::range(0..2000))).expect("read");
    let wrong =
        block.array::<f64>().expect("f64").iter().zip(&values).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    assert_eq!(wrong, 0);
}

/// A thousand kills during overwrites, structural changes, compressed columns and recoveries, while readers check every
/// row.
fn a_thousand_kills(changers: &str, row_shape: &str, durability: &str) {
    let args = ["--writers", "3", "--rows", "300", "--batch", "5", "--overlap", "--kill-every", "15"];
    let more = ["--kills", "1000", "--changers", changers, "--row-shape", row_shape, "--durability", durability];
    let report = stress(&[&args[..], &more].concat());
    assert!(report["changes"].as_u64() > Some(100) && report["rows_read"].as_u64() > Some(4000), "{report}");
    assert!(report["kills"].as_u64() >= Some(1000), "{report}");
    println!("{report}");
}

#[test]
fn a_thousand_kills_among_everything() {
    a_thousand_kills("1", "4x3", "power");
}

#[test]
fn another_thousand_without_syncs() {
    a_thousand_kills("2", "150", "process");
}
