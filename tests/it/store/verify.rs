//! `verify` finds each kind of damage, and reports nothing else as damage.

use crate::common::stopping::Stopping;
use crate::common::support::{Scratch, h5part, ok, py, run, small_store};
use crate::store::changes::CHANGES;
use crate::store::guard;
use h5part_base::dataspace::{ColumnLayout, Rows};
use h5part_engine::store::{CellState, Durability, Store, Values, Writer};
use h5part_engine::verify::{Kind, Report, Severity, Verify};
use ndarray::{Array1, Array3};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

fn verify(store: &Store) -> Report {
    store.verify(&Verify::default(), &|_, _| ()).expect("looks")
}

fn repair(store: &Store, accept_foreign: bool) -> Report {
    store.verify(&Verify { repair: true, accept_foreign, ..Verify::default() }, &|_, _| ()).expect("repairs")
}

fn kinds(report: &Report) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = report.findings.iter().map(|f| f.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn only(report: &Report, kind: Kind, severity: Severity, why: &str) {
    assert_eq!(kinds(report), [kind], "{why}: {:#?}", report.findings);
    assert!(report.findings.iter().all(|f| f.severity == severity), "{why}: {:#?}", report.findings);
    assert_eq!(report.sound, severity == Severity::Note, "{why}");
}

fn sound(store: &Store, why: &str) {
    let report = verify(store);
    assert!(report.sound && report.findings.is_empty(), "{why}: {:#?}", report.findings);
}

/// Commits 20 of 40 rows in all columns.
fn store_of(scratch: &Scratch) -> Store {
    let store = small_store(&scratch.path("a.h5"), 40);
    put(&mut store.writer("t").expect("writer"), 0..20, 1.5).expect("commit");
    store
}

fn put(writer: &mut Writer, rows: std::ops::Range<u64>, value: f64) -> h5part::Result<()> {
    let n = usize::try_from(rows.end - rows.start).expect("small");
    let (e, f, s) = (Array1::from_elem(n, value), Array3::from_elem((n, 4, 3), value), Array1::from_elem(n, 0i64));
    let sets = [("E", Values::from(&e)), ("F", Values::from(&f)), ("status", Values::from(&s))];
    writer.commit(&Rows::range(rows), &sets).map(|_| ())
}

/// Flips a bit of the file.
fn flip(path: &Path, address: u64, bit: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, address + bit / 8).expect("read");
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, address + bit / 8).expect("write");
}

#[test]
fn a_flipped_bit_of_any_value_and_of_any_stamp() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    sound(&store, "before");
    let reader = store.reader("t").expect("reader");
    let table = reader.table().clone();
    let stamps = table.stamps.as_ref().expect("stamped");
    let values: Vec<(&str, &ColumnLayout)> =
        table.columns.iter().map(|c| (c.name.as_str(), c.layout.as_ref().expect("direct"))).collect();
    for row in 0..40 {
        for (column, layout) in &values {
            let (address, _) = layout.find(row);
            let bit = (row * 37) % (layout.cell_bytes * 8);
            flip(store.path(), address, bit);
            let report = verify(&store);
            let why = format!("row {row}, column {column}, bit {bit}");
            let (kind, severity) =
                if row < 20 { (Kind::Changed, Severity::Fault) } else { (Kind::Unstamped, Severity::Note) };
            only(&report, kind, severity, &why);
            assert_eq!(report.findings[0].rows, [(row, row + 1)], "{why}");
            assert_eq!(report.findings[0].column.as_deref(), Some(*column), "{why}");
            flip(store.path(), address, bit);
        }
        let (address, _) = stamps.layout.find(row);
        for bit in 0..stamps.width as u64 * 64 {
            if (bit + row) % 5 != 0 && row != 3 && row != 30 {
                continue;
            }
            flip(store.path(), address, bit);
            let report = verify(&store);
            let of_the_row =
                |f: &h5part_engine::verify::Finding| f.severity == Severity::Fault && f.rows == [(row, row + 1)];
            assert!(report.findings.iter().any(of_the_row), "row {row}, stamp bit {bit}: {:#?}", report.findings);
            flip(store.path(), address, bit);
        }
    }
    sound(&store, "after");
}

#[test]
fn a_file_that_was_cut() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    let whole = std::fs::read(store.path()).expect("read");
    for len in [0, 1, 7, 8, 64, 511, 512, 2048, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(store.path(), &whole[..len]).expect("write");
        let (code, out, err) = run(&["verify", store.path().to_str().expect("UTF-8")]);
        assert_eq!(code, 1, "{len}: {out}{err}");
        assert!(out.contains("fault: ") && out.contains("UNSOUND"), "{len}: {out}{err}");
    }
    std::fs::write(store.path(), &whole).expect("write");
    sound(&store, "whole again");
}

#[test]
fn another_file_in_its_place_and_copies_with_and_without_their_sidecar() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    let copy = scratch.path("copy.h5");
    std::fs::copy(store.path(), &copy).expect("copy");
    sound(&Store::open(&copy).expect("opens"), "a copy without its sidecar");
    let sidecar = scratch.path("copy.h5.part");
    std::fs::create_dir_all(sidecar.join("records")).expect("folder");
    for name in ["rows.lock", "store.uuid"] {
        std::fs::copy(scratch.path("a.h5.part").join(name), sidecar.join(name)).expect("copy");
    }
    sound(&Store::open(&copy).expect("opens"), "a copy with its sidecar");
    let moved = scratch.path("moved.h5");
    std::fs::hard_link(&copy, &moved).expect("link");
    std::fs::remove_file(&copy).expect("remove");
    sound(&Store::open(&moved).expect("opens"), "a moved file");

    let other = small_store(&scratch.path("other.h5"), 40);
    std::fs::copy(other.path(), store.path()).expect("copy");
    only(&verify(&store), Kind::OtherFile, Severity::Fault, "another store");
    assert_eq!(run(&["verify", store.path().to_str().expect("UTF-8")]).0, 1);
}

#[test]
fn a_new_file_under_an_old_name_is_no_other_file() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    std::fs::remove_file(store.path()).expect("remove");
    let store = store_of(&scratch);
    sound(&store, "made anew");
}

#[test]
fn what_h5py_changed_behind_our_back() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    let script = "import h5py, sys\nwith h5py.File(sys.argv[1], 'r+') as f:\n  f['t/E'][3:5] = 9\n  f['t/F'][30] = 2";
    if py(script, &[&scratch.text("a.h5")]).is_none() {
        return;
    }
    let report = verify(&store);
    assert_eq!(kinds(&report), [Kind::Changed, Kind::Unstamped], "{:#?}", report.findings);
    assert_eq!(report.findings[0].rows, [(3, 5)]);
    assert_eq!(verify(&store).findings.len(), repair(&store, false).findings.len(), "nothing is touched unasked");
    let report = repair(&store, true);
    assert!(report.sound && report.findings.is_empty(), "{:#?}", report.findings);
    assert_eq!(report.repaired.expect("repaired").stamped, 3);
    let block = store.reader("t").expect("reader").read("E", &Rows::range(2..5)).expect("read");
    assert_eq!(block.array::<f64>().expect("f64").into_iter().collect::<Vec<_>>(), [1.5, 9.0, 9.0]);
    assert_eq!(block.states(), [CellState::Committed; 3]);
}

/// A commit of rows that is stopped at a call, as if killed.
fn stopped_commit(store: &Store, rows: std::ops::Range<u64>, call: u64) {
    let stopped = store.clone().with_storage(Arc::new(Stopping::at(call, true)));
    let mut writer = stopped.writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    put(&mut writer, rows, 2.5).expect_err("stopped");
    std::mem::forget(writer);
}

#[test]
fn half_written_rows_with_and_without_a_record() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    // The stamps, and half of the values.
    stopped_commit(&store, 25..28, 2);
    let report = verify(&store);
    assert!(kinds(&report).contains(&Kind::HalfWritten) && !report.sound, "{:#?}", report.findings);
    let report = repair(&store, false);
    assert!(report.sound, "{:#?}", report.findings);
    assert!(report.repaired.expect("repaired").recovery.reset >= 3);
    assert_eq!(report.tables[0].committed, 60);
    let states = store.reader("t").expect("reader").read("F", &Rows::range(25..28)).expect("read");
    assert_eq!(states.states(), [CellState::Missing; 3]);

    // For overwritten rows the record comes first, with the folders on the path to it.
    stopped_commit(&store, 3..6, 6);
    let report = verify(&store);
    assert!(kinds(&report).contains(&Kind::Record) && kinds(&report).contains(&Kind::HalfWritten));
    let report = repair(&store, false);
    assert!(report.sound && report.findings.is_empty(), "{:#?}", report.findings);
    assert_eq!((report.tables[0].committed, report.repaired.expect("repaired").reset), (60, 0));

    // The record is lost: there is nothing to restore.
    stopped_commit(&store, 3..6, 6);
    std::fs::remove_dir_all(scratch.path("a.h5.part/records")).expect("remove");
    only(&verify(&store), Kind::HalfWritten, Severity::Fault, "without its record");
    let report = repair(&store, false);
    assert!(report.sound && report.findings.is_empty(), "{:#?}", report.findings);
    assert_eq!(report.tables[0].committed, 51);
    sound(&store, "after");
}

#[test]
fn names_counts_and_objects() {
    let scratch = Scratch::new();
    let script = r"
import h5py, numpy, sys
path, what = sys.argv[1:]
with h5py.File(path, 'w') as f:
    f['a'] = numpy.arange(10.0)
    if what == 'shared':
        f['b'] = f['a']
    f.create_group('g')['x'] = 1
    at = h5py.h5o.get_info(f['a'].id).addr
with open(path, 'r+b') as f:
    if what == 'shared':
        f.seek(at + 4)
        assert f.read(4) == b'\x02\0\0\0'
        f.seek(at + 4)
        f.write(b'\x01')
    elif what == 'broken':
        f.seek(at)
        f.write(b'\xff')
";
    for (what, kind) in [("sound", None), ("shared", Some(Kind::SharedName)), ("broken", Some(Kind::Unopenable))] {
        let path = scratch.text(&format!("{what}.h5"));
        if py(script, &[&path, what]).is_none() {
            return;
        }
        let store = Store::open(&path).expect("opens");
        match kind {
            None => sound(&store, what),
            Some(kind) => {
                let report = verify(&store);
                only(&report, kind, Severity::Fault, what);
                assert_eq!(report.findings[0].path.as_deref(), Some("/a"));
            }
        }
        assert_eq!(run(&["verify", &path]).0, i32::from(kind.is_some()));
    }
}

#[test]
fn a_table_without_its_columns_or_its_stamps() {
    for (delete, kind, severity) in [
        ("t/E", Kind::Lost, Severity::Fault),
        ("__h5part__/1", Kind::Table, Severity::Fault),
        ("t", Kind::StampsLeft, Severity::Note),
    ] {
        let scratch = Scratch::new();
        let store = store_of(&scratch);
        let script = "import h5py, sys\nwith h5py.File(sys.argv[1], 'r+') as f:\n  del f[sys.argv[2]]";
        if py(script, &[&scratch.text("a.h5"), delete]).is_none() {
            return;
        }
        only(&verify(&store), kind, severity, delete);
    }
}

#[test]
fn logs_that_were_left_over() {
    let (mut begun, mut sealed) = (0, 0);
    let scratch = Scratch::new();
    for stop in 0..30 {
        let store = store_of(&scratch);
        let stopped = store.clone().with_storage(Arc::new(Stopping::at(stop, false)));
        let (_, change) = CHANGES.iter().find(|(name, _)| *name == "attr").expect("there");
        if change(&stopped).is_ok() {
            break;
        }
        let before = std::fs::read(store.path()).expect("read");
        let report = verify(&store);
        assert_eq!(before, std::fs::read(store.path()).expect("read"), "verify alone changes nothing");
        let left = std::fs::metadata(scratch.path("a.h5.part/change.log")).is_ok_and(|m| m.len() > 0);
        if left {
            assert_eq!(kinds(&report), [Kind::Log], "stopped at {stop}: {:#?}", report.findings);
            // It may have been stopped at its end, with nothing left to do.
            if !report.sound {
                *(if report.objects > 0 { &mut begun } else { &mut sealed }) += 1;
            }
        }
        let report = repair(&store, false);
        assert!(report.sound && report.findings.is_empty(), "stopped at {stop}: {:#?}", report.findings);
        std::fs::remove_dir_all(scratch.path("a.h5.part")).expect("remove");
        std::fs::remove_file(store.path()).expect("remove");
    }
    assert!(begun > 0 && sealed > 0, "{begun} begun, {sealed} sealed");
}

#[test]
fn stopped_holders_and_stale_notes() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    let mut child = h5part_stream(&scratch.text("a.h5"));
    let stdin = child.stdin.as_mut().expect("piped");
    writeln!(stdin, r#"{{"rows": 30, "set": {{"E": 1.0}}}}"#).expect("write");
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().expect("piped")), &mut answer)
        .expect("answers");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stop");
    // The state of a process is updated a moment later.
    let stopped = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let report = verify(&store);
        kinds(&report).contains(&Kind::StoppedHolder).then_some(report)
    });
    let report = stopped.expect("told");
    assert!(report.sound && report.findings[0].what.contains(&child.id().to_string()), "{:#?}", report.findings);
    child.kill().expect("kill");
    child.wait().expect("ends");
    let report = verify(&store);
    only(&report, Kind::StaleNote, Severity::Note, "a writer that was killed");
    assert!(repair(&store, false).findings.is_empty());
}

fn h5part_stream(file: &str) -> std::process::Child {
    std::process::Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["update", file, "t", "--stream"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts")
}

#[test]
fn a_guard_that_says_complete_over_fill() {
    let scratch = Scratch::new();
    let store = guard::store_with_rows(&scratch.path("a.h5"), 0);
    sound(&store, "before");
    let status =
        store.reader("t").expect("reader").table().column("status").expect("there").direct().expect("direct").find(8).0;
    let file = std::fs::OpenOptions::new().write(true).open(store.path()).expect("open");
    file.write_all_at(&0i64.to_le_bytes(), status).expect("write");
    let report = verify(&store);
    let guard = report.findings.iter().find(|f| f.kind == Kind::Guard).expect("found");
    assert_eq!((guard.severity, guard.rows.as_slice()), (Severity::Fault, &[(8, 9)][..]));
    file.write_all_at(&1i64.to_le_bytes(), status).expect("write");
    sound(&store, "after");

    // If the value that means complete is known, other values prove nothing: 2 stands for "failed".
    let file = scratch.text("b.h5");
    ok(&[
        "create",
        &file,
        "t",
        "--rows",
        "9",
        "--column",
        "e:f64",
        "--column",
        "s:i64",
        "--guard",
        "s=1",
        "--complete",
        "0",
    ]);
    let set = |row: &str, column: &str, value: f64| {
        let values = scratch.npy("value.npy", &[1], &[value]);
        ok(&["update", &file, "t", "--rows", row, "--cast", "--set", &format!("{column}={values}")]);
    };
    set("0", "s", 2.0);
    ok(&["verify", &file]);
    set("1", "s", 0.0);
    assert_eq!(run(&["verify", &file]).0, 1);
    set("1", "e", f64::NAN);
    assert_eq!(run(&["verify", &file]).0, 1, "complete, and not a number");
    set("1", "e", 0.5);
    ok(&["verify", &file]);
}

#[test]
fn sound_files_of_h5py_are_sound() {
    let scratch = Scratch::new();
    let script = r"
import h5py, numpy as np, sys
for k, libver in enumerate(['earliest', 'v108', 'v110', 'latest']):
    for userblock in [0, 512]:
        with h5py.File(f'{sys.argv[1]}/{k}-{userblock}.h5', 'w', libver=libver, userblock_size=userblock) as f:
            g = f.create_group('g')
            f['same'] = g
            g['x'] = np.arange(1000.)
            g['same x'] = g['x']
            g.create_dataset('zip', data=np.arange(5000), chunks=(100,), compression='gzip', shuffle=True, fletcher32=True)
            g.create_dataset('lzf', data=np.arange(5000), chunks=(100,), compression='lzf')
            g.create_dataset('part', (1000, 10), chunks=(7, 3), dtype='f4')[5:9, 2:4] = 1
            g.create_dataset('grow', (10,), maxshape=(None,), chunks=(4,))
            g.create_dataset('late', (10**6,), dtype='f8')
            g.create_dataset('none', dtype='f8', shape=None)
            g.create_dataset('empty', (0, 5))
            g['big'] = np.arange(10, dtype='>i4')
            g['text'] = 'hello'
            g.create_dataset('texts', data=['a', 'bc'], dtype=h5py.string_dtype())
            g['bytes'] = np.array([b'ab', b'cd'])
            g['bool'] = np.array([True, False])
            g['complex'] = np.array([1j])
            g['struct'] = np.zeros(3, dtype=[('a', 'i4'), ('b', 'f8', (2,))])
            g['enum'] = np.zeros(3, dtype=h5py.enum_dtype({'A': 0, 'B': 1}, basetype='i1'))
            ragged = g.create_dataset('ragged', (2,), dtype=h5py.vlen_dtype('i4'))
            ragged[0], ragged[1] = [1, 2], [3]
            g['ref'] = np.array([f['g'].ref], dtype=h5py.ref_dtype)
            f['type'] = np.dtype('f4')
            f['soft'] = h5py.SoftLink('/g/x')
            f['dangling'] = h5py.SoftLink('/nowhere')
            f['circle'] = h5py.SoftLink('/')
            g['up'] = f['/']
            f.attrs['a'] = 'text'
            g.attrs['many'] = np.arange(5000)
            for i in range(30):
                g.attrs[f'a{i}'] = i
                f.create_group(f'n{i}')
            f['é Å 原'] = 1
";
    if py(script, &[scratch.path("").to_str().expect("UTF-8")]).is_none() {
        return;
    }
    for k in 0..4 {
        for userblock in [0, 512] {
            let path = scratch.path(&format!("{k}-{userblock}.h5"));
            let report = verify(&Store::open(&path).expect("opens"));
            assert!(report.findings.is_empty() && report.objects > 40, "{k}, {userblock}: {:#?}", report.findings);
            ok(&["verify", path.to_str().expect("UTF-8")]);
            ok(&["info", path.to_str().expect("UTF-8")]);
        }
    }
}

#[test]
fn beside_writers_nothing_is_a_fault() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let reports: Vec<Report> = std::thread::scope(|scope| {
        for k in 0..2u64 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut writer = store.writer("t").expect("writer");
                writer.set_durability(Durability::Process);
                for n in 0.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    put(&mut writer, k * 7..k * 7 + 15, f64::from(n)).expect("commit");
                }
            });
        }
        let reports = (0..300).map(|_| verify(&store)).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        reports
    });
    for report in reports {
        assert!(report.sound, "{:#?}", report.findings);
    }
    sound(&store, "afterwards");
}

#[test]
fn compressed_columns_are_checked_too() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&[
        "create",
        &file,
        "t",
        "--rows",
        "50",
        "--column",
        "z:f64:20",
        "--gzip",
        "4",
        "--shuffle",
        "--chunk-rows",
        "7",
    ]);
    let values = scratch.npy("z.npy", &[30, 20], &(0..600).map(f64::from).collect::<Vec<_>>());
    ok(&["update", &file, "t", "--rows", "10:40", "--set", &format!("z={values}")]);
    let store = Store::open(&file).expect("opens");
    let report = verify(&store);
    assert!(report.sound && report.tables[0].committed == 30, "{:#?}", report.findings);
    let script = "import h5py, sys\nwith h5py.File(sys.argv[1], 'r+') as f:\n  f['t/z'][11, 3] = 9";
    if py(script, &[&file]).is_some() {
        only(&verify(&store), Kind::Changed, Severity::Fault, "changed");
        assert!(repair(&store, true).sound);
    }
}

#[test]
fn the_report_in_json() {
    let scratch = Scratch::new();
    let store = store_of(&scratch);
    let (address, _) =
        store.reader("t").expect("reader").table().column("E").expect("there").direct().expect("direct").find(7);
    flip(store.path(), address, 3);
    let (code, out, _) = run(&["verify", &scratch.text("a.h5"), "--json"]);
    assert_eq!(code, 1);
    let mut json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    for changes in ["file", "uuid", "bytes"] {
        json[changes] = serde_json::Value::from(format!("[{changes}]"));
    }
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_json_snapshot!("verify_json", json);
    });
    let (_, out, _) = run(&["verify", &scratch.text("a.h5"), "--jobs", "1"]);
    let told = "fault: table 't', column 'E', row 7: values do not match their stamps";
    assert!(out.starts_with(told), "{out}");
    assert_eq!(h5part().args(["verify", &scratch.text("none.h5")]).output().expect("starts").status.code(), Some(3));
}
