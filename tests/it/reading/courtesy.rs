//! Stock programs that have the file open make a structural change wait, and the message names them. Row commits wait
//! for writers only.

use crate::common::support::{Scratch, h5part, ok, py, python, run};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// Starts h5py, which keeps the file open until it is killed. It prints a line once the file is open.
fn holder(file: &str, mode: &str) -> Option<Child> {
    let script = "import sys, h5py, time\n\
        f = h5py.File(sys.argv[1], sys.argv[2])\n\
        print('open', flush=True)\n\
        time.sleep(60)";
    let mut child = python(script, &[file, mode])?.stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("reads");
    assert_eq!(line, "open\n");
    Some(child)
}

fn end(mut child: Child) {
    child.kill().expect("kill");
    child.wait().expect("wait");
}

fn is_refused(args: &[&str], pid: u32) {
    let (code, _, err) = run(&[args, &["--timeout", "0.4"]].concat());
    assert!(code == 6 && err.contains(&format!("pid {pid}")), "{args:?}: {code} {err}");
}

#[test]
fn a_stock_reader_keeps_changes_waiting_but_not_commits() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "5", "--column", "E:f64"]);
    ok(&["create", &file, "z", "--rows", "5", "--column", "E:f64", "--gzip", "1"]);
    let values = scratch.npy("v.npy", &[1], &[1.5]);
    let set = format!("E={values}");
    let Some(reader) = holder(&file, "r") else { return };
    let before = std::fs::read(&file).expect("read");
    is_refused(&["extend", &file, "t", "--rows", "9"], reader.id());
    is_refused(&["create", &file, "u", "--rows", "9", "--column", "E:f64"], reader.id());
    is_refused(&["attr", &file, "t", "a=1"], reader.id());
    is_refused(&["update", &file, "z", "--rows", "1", "--set", &set], reader.id());
    assert!(std::fs::read(&file).expect("read") == before);
    ok(&["update", &file, "t", "--rows", "1", "--set", &set]);
    // Commits continue while a change waits.
    let waiting = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["extend", &file, "t", "--rows", "9"])
        .spawn()
        .expect("starts");
    for row in ["2", "3", "4"] {
        h5part().args(["update", &file, "t", "--timeout", "20", "--rows", row, "--set", &set]).assert().success();
    }
    end(reader);
    assert!(waiting.wait_with_output().expect("ends").status.success());
    assert_eq!(ok(&["read", &file, "t", "E", "--rows", "0:9"]), "NaN\n1.5\n1.5\n1.5\n1.5\nNaN\nNaN\nNaN\nNaN\n");
    let out = py("import sys, h5py; print(h5py.File(sys.argv[1])['t/E'].shape)", &[&file]);
    assert_eq!(out.expect("h5py"), "(9,)\n");
}

#[test]
fn a_stock_writer_keeps_both_waiting() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "5", "--column", "E:f64"]);
    let values = scratch.npy("v.npy", &[1], &[1.5]);
    let update = ["update", &file, "t", "--rows", "1", "--set", &format!("E={values}")];
    let Some(writer) = holder(&file, "r+") else { return };
    is_refused(&["extend", &file, "t", "--rows", "9"], writer.id());
    is_refused(&update, writer.id());
    end(writer);
    ok(&["extend", &file, "t", "--rows", "9"]);
    ok(&update);
}

/// A chunked table that h5py made extensible.
#[test]
fn an_adopted_table_grows() {
    for libver in ["earliest", "latest"] {
        let scratch = Scratch::new();
        let file = scratch.text("a.h5");
        let script = "import sys, h5py, numpy as np\n\
            f = h5py.File(sys.argv[1], 'w', libver=sys.argv[2])\n\
            g = f.create_group('g')\n\
            n = np.arange(10.)\n\
            g.create_dataset('x', data=n, chunks=(4,), maxshape=(None,), fillvalue=-1)\n\
            g.create_dataset('y', data=np.stack([n, n], 1), chunks=(3, 2), maxshape=(1000, 2))\n\
            g.create_dataset('z', data=n, chunks=(4,), maxshape=(None,), compression='gzip')";
        if py(script, &[&file, libver]).is_none() {
            return;
        }
        ok(&["adopt", &file, "g", "--committed", "all"]);
        ok(&["extend", &file, "g", "--rows", "30"]);
        let (x, y) = (scratch.npy("x.npy", &[2], &[1.5, 2.5]), scratch.npy("y.npy", &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        for set in [format!("x={x}"), format!("y={y}"), format!("z={x}")] {
            ok(&["update", &file, "g", "--rows", "29,3", "--set", &set]);
        }
        let script = "import sys, h5py\n\
            g = h5py.File(sys.argv[1])['g']\n\
            print([g[c][i].tolist() for c in 'xyz' for i in (2, 3, 28, 29)])";
        let out = py(script, &[&file]).expect("h5py");
        let expected = "[2.0, 2.5, -1.0, 1.5, [2.0, 2.0], [3.0, 4.0], [0.0, 0.0], [1.0, 2.0], 2.0, 2.5, 0.0, 1.5]\n";
        assert_eq!(out, expected, "{libver}");
        let info: serde_json::Value = serde_json::from_str(&ok(&["info", &file, "--json"])).expect("JSON");
        let access: Vec<_> = info["tables"][0]["columns"].as_array().expect("columns").iter().collect();
        assert_eq!(access.iter().map(|c| &c["access"]).collect::<Vec<_>>(), ["direct", "direct", "chunks"]);
        let (code, _, err) = run(&["extend", &file, "g", "--rows", "1001"]);
        assert!(code == 10 && err.contains("at most 1000 rows"), "{code} {err}");
    }
}
