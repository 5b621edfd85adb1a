//! `h5part monitor`: what workers measured, as a summary, a drawing, and OpenQuake's tables.

use crate::common::support::{Scratch, is_one_error, ok, py, run};
use h5part::monitor::{Monitor, Record};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A folder with the measurements of two workers: a failed task, a task with a part, and a name that is too long.
fn measured(folder: &Path) {
    let first = Monitor::open(folder).expect("opens");
    {
        let mut task = first.measure("count");
        task.task(0).weight(2.5);
        let mut part = first.measure("read");
        part.count(3).bytes(1000);
    }
    let second = Monitor::open(folder).expect("opens");
    {
        let mut task = second.measure("count");
        task.task(40_000);
        task.fail();
    }
    second.measure(&"long ".repeat(20)).count(7);
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn openquakes_tables_have_its_types_to_the_byte() {
    let scratch = Scratch::new();
    measured(&scratch.path("m"));
    ok(&["monitor", &scratch.text("m"), "--export", &scratch.text("out.h5")]);
    // The tables of OpenQuake engine 3.26; compared with one of its files by hand.
    let script = r"
import h5py, sys
f = h5py.File(sys.argv[1])
def check(name, members):
    d = f[name]
    size = 0
    for k, (member, kind, bytes) in enumerate(members):
        t = d.id.get_type()
        assert t.get_member_name(k) == member.encode(), (name, k)
        assert t.get_member_offset(k) == size, (name, member, 'is not packed')
        assert d.dtype[member].str == kind, (name, member)
        size += bytes
    assert d.id.get_type().get_size() == size and len(d.dtype) == len(members), name
    assert d.chunks == (128,) and d.maxshape == (None,) and d.compression is None and not d.attrs, name
check('performance_data', [('operation', '|S50', 50), ('time_sec', '<f8', 8), ('memory_mb', '<f8', 8),
                           ('counts', '<i8', 8), ('task_no', '<i2', 2)])
check('task_info', [('taskname', '|S50', 50), ('task_no', '<u4', 4), ('weight', '<f4', 4), ('duration', '<f4', 4),
                    ('received', '<i8', 8), ('mem_gb', '<f4', 4)])
check('starmap_info', [('taskname', '|S50', 50), ('mean', '<f4', 4), ('std', '<f4', 4), ('min', '<f4', 4),
                       ('max', '<f4', 4)])
assert h5py.check_string_dtype(f['task_sent'].dtype).length is None and f['task_sent'].shape == ()
rows = {(r['operation'].decode(), int(r['task_no'])): int(r['counts']) for r in f['performance_data'][:]}
assert rows == {('total count', 0): 1, ('read', 0): 3, ('total count', -1): 1, ('long ' * 10, -1): 7}, rows
tasks = [(r['taskname'], int(r['task_no']), float(r['weight'])) for r in f['task_info'][:]]
assert tasks == [(b'count', 0, 2.5), (b'count', 40000, 1.0)], tasks
assert all(f['task_info']['mem_gb'] > 0) and all(f['performance_data']['time_sec'] >= 0)
wide = f['h5part_performance'][:]
assert sorted(wide['task_no']) == [-1, 0, 0, 40000] and sorted(wide['failed']) == [0, 0, 0, 1]
assert sorted(wide['bytes'])[-1] == 1000 and len(f['h5part_workers']) == 2
";
    py(script, &[&scratch.text("out.h5")]);
    let (code, _, err) = run(&["monitor", &scratch.text("m"), "--export", &scratch.text("out.h5")]);
    assert_eq!(code, 11, "it is there: {err}");
}

#[test]
fn sums_are_told_in_words_in_json_and_drawn() {
    let scratch = Scratch::new();
    measured(&scratch.path("m"));
    let said = json(&ok(&["monitor", &scratch.text("m"), "--json", "--svg", &scratch.text("out.svg")]));
    let operations = said["operations"].as_array().expect("list");
    let count = operations.iter().find(|one| one["operation"] == "count").expect("is there");
    assert_eq!((&count["records"], &count["failed"]), (&json("2"), &json("1")));
    assert_eq!(said["workers"].as_array().expect("list").len(), 2);
    let drawing = fs::read_to_string(scratch.path("out.svg")).expect("reads");
    assert!(drawing.starts_with("<svg") && drawing.contains("1 failed"));
    let words = ok(&["monitor", &scratch.text("m")]);
    assert!(words.contains("4 records of 2 workers") && words.contains("1 failed"), "{words}");
    // A file by itself is one worker.
    let file = fs::read_dir(scratch.path("m")).expect("reads").next().expect("one").expect("entry").path();
    let said = json(&ok(&["monitor", file.to_str().expect("UTF-8"), "--json"]));
    assert_eq!(said["workers"].as_array().expect("list").len(), 1);
}

/// Two operations on one host. One asked for four processors and had a limit.
fn with_costs(folder: &Path) {
    let monitor = Monitor::open_as(folder, "w,1").expect("opens");
    let record = |operation: &str, wall_s: f64, cores, memory_limit_bytes| Record {
        operation: operation.to_owned(),
        start_s: 100.0,
        wall_s,
        cpu_s: wall_s,
        cores,
        memory_bytes: 50,
        memory_limit_bytes,
        ..Record::default()
    };
    for wall in 1..=100 {
        monitor.record(record("wide", f64::from(wall), 4, 200)).expect("writes");
    }
    monitor.record(record("a \"b\"", 2.0, 0, 0)).expect("writes");
}

#[test]
fn costs_are_shares_of_what_was_asked_for_by_operation_worker_and_host() {
    let scratch = Scratch::new();
    with_costs(&scratch.path("m"));
    let said = json(&ok(&["monitor", &scratch.text("m"), "--json"]));
    let wide = &said["operations"][0];
    assert_eq!((&wide["cpu_share"], &wide["memory_share"]), (&json("0.25"), &json("0.25")), "{wide}");
    assert_eq!(wide["wall_percentiles_s"], json(r#"{"p50": 50.0, "p90": 90.0, "p99": 99.0}"#));
    assert_eq!(
        (&said["operations"][1]["cpu_share"], &said["operations"][1]["memory_share"]),
        (&json("1.0"), &Value::Null)
    );
    let host = &said["hosts"][0];
    assert_eq!(
        (&host["workers"], &host["records"], &host["memory_limit_bytes"]),
        (&json("1"), &json("101"), &json("200"))
    );
    let words = ok(&["monitor", &scratch.text("m"), "--by", "operation"]);
    let line = words.lines().find(|line| line.starts_with("wide")).expect("a line");
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let expected =
        ["wide", "100", "0", "84 min", "50.5 s", "50.0 s", "90.0 s", "99.0 s", "100 s", "25 %", "50 bytes", "25 %"];
    assert_eq!(cells[..12], expected, "{words}");
    assert!(ok(&["monitor", &scratch.text("m"), "--by", "host"]).lines().count() == 3);
    // A CSV reader finds the same as in the JSON.
    let script = r#"
import csv, json, subprocess, sys
run = lambda *more: subprocess.run([sys.argv[1], 'monitor', sys.argv[2], *more], check=True, capture_output=True, text=True).stdout
summary = json.loads(run('--json'))
for by, names in [('operation', ['wide', 'a "b"']), ('worker', ['w,1']), ('host', [summary['hosts'][0]['host']])]:
    rows = list(csv.DictReader(run('--csv', '--by', by).splitlines()))
    assert [row[by] for row in rows] == names, rows
    for row, one in zip(rows, summary[by + 's']):
        for column, value in [('records', one['records']), ('wall_s', one['wall_s']['total']), ('wall_p90_s', one['wall_percentiles_s']['p90']),
                              ('cpu_share', one['cpu_share']), ('memory_limit_bytes', one['memory_limit_bytes'])]:
            assert row[column] == '' if value is None else float(row[column]) == value, (by, column, row)
assert run('--csv') == run('--csv', '--by', 'operation')
"#;
    py(script, &[env!("CARGO_BIN_EXE_h5part"), &scratch.text("m")]);
}

#[test]
fn a_cut_line_is_counted_and_what_is_no_measurement_is_told() {
    let scratch = Scratch::new();
    measured(&scratch.path("m"));
    let file = fs::read_dir(scratch.path("m")).expect("reads").next().expect("one").expect("entry").path();
    let text = fs::read(&file).expect("reads");
    fs::write(&file, &text[..text.len() - 9]).expect("writes");
    let (code, _, err) = run(&["monitor", &scratch.text("m"), "--json"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("1 cut lines left out"), "{err}");
    fs::create_dir(scratch.path("empty")).expect("makes");
    fs::write(scratch.path("text"), "no measurements\n").expect("writes");
    for (path, expected) in [("empty", 3), ("nowhere", 3), ("text", 5)] {
        let (code, _, err) = run(&["monitor", &scratch.text(path)]);
        assert!(code == expected && is_one_error(&err), "{path}: {err}");
    }
}
