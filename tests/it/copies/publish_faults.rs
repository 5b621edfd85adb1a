//! Publishing on a bad disk: the old file stays as it was, nothing is left behind, and the error names the path.

use crate::common::support::{Scratch, finished, small_store};
use h5part::{ErrorKind, Shortage};
use h5part_base::dataspace::Rows;
use h5part_base::storage::{Fault, Faulty};
use h5part_engine::publish::{Packing, Publishing};
use h5part_engine::store::{Store, Values};
use ndarray::{Array1, Array3};
use std::process::Command;
use std::sync::Arc;

fn commit(store: &Store, value: f64) {
    let (e, f) = (Array1::from_elem(30, value), Array3::from_elem((30, 4, 3), value));
    let values = [("E", Values::from(&e)), ("F", Values::from(&f))];
    store.writer("t").expect("writer").commit(&Rows::range(0..30), &values).expect("commit");
}

fn names(scratch: &Scratch) -> Vec<String> {
    let entries = std::fs::read_dir(scratch.path("")).expect("folder").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_fault_at_any_call_leaves_the_old_file() {
    const ENOSPC: i32 = 28;
    for packing in [Packing::Plain, Publishing::default().packing] {
        for persistent in [false, true] {
            let scratch = Scratch::in_memory();
            let work = small_store(&scratch.path("w.h5"), 40);
            let (path, faulty) = (scratch.path("p.h5"), Faulty::of_every_call());
            let out = Store::new(&path).expect("path").with_storage(Arc::new(faulty.clone()));
            let how = Publishing { packing, ..Publishing::default() };
            commit(&work, 1.0);
            work.publish(&out, how, &|_, _| ()).expect("publishes");
            let old = std::fs::read(&path).expect("reads");
            let before = names(&scratch);
            commit(&work, 2.0);
            let (mut faults, mut renamed) = (0, 0);
            for call in 0.. {
                faulty.arm(Some(Fault { call, errno: ENOSPC, persistent }));
                let outcome = work.publish(&out, how, &|_, _| ());
                let met = faulty.calls() > call;
                faulty.arm(None);
                if !met {
                    outcome.expect("no fault, no error");
                    break;
                }
                let now = std::fs::read(&path).expect("it is there");
                assert_eq!(names(&scratch), before, "call {call}: {outcome:?}");
                match outcome {
                    Err(e) => {
                        faults += 1;
                        assert!(e.to_string().contains("p.h5"), "call {call}: {e}");
                        assert!(matches!(e.kind(), ErrorKind::NoSpace(Shortage::Disk { .. })), "call {call}: {e}");
                        // After the rename only the folder's sync can fail.
                        renamed += i32::from(now != old);
                    }
                    // Nothing is reused of an old file that cannot be read.
                    Ok(_) => assert!(now != old, "call {call}"),
                }
                if now != old {
                    std::fs::write(&path, &old).expect("puts it back");
                }
            }
            println!("{packing:?}: {faults} faults");
            assert!(faults > 10 && renamed <= 1, "{faults} faults, {renamed} after the rename");
        }
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let scratch = Scratch::new();
    let folder = scratch.text("disk");
    std::fs::create_dir(&folder).expect("folder");
    let work = small_store(&scratch.path("w.h5"), 20_000);
    let e: Array1<f64> = (0..20_000).map(|k| f64::from(k).sqrt()).collect();
    work.writer("t").expect("writer").commit(&Rows::range(0..20_000), &[("E", Values::from(&e))]).expect("commit");
    let script = r#"
mount -t tmpfs -o size=8m none "$DIR" 2>/dev/null || exit 99
P="$DIR"/p.h5
"$H" publish "$DIR"/../w.h5 -o "$P" >/dev/null || exit 98
cp "$P" "$DIR"/../old.h5
ls -A "$DIR" >"$DIR"/../before
for free in 0 4 16 32 64; do
    for way in --plain "--gzip 4 --shuffle" "--gzip 0"; do
        dd if=/dev/zero of="$DIR"/ballast bs=4096 2>/dev/null
        truncate -s -"$free"K "$DIR"/ballast
        "$H" publish "$DIR"/../w.h5 -o "$P" $way >/dev/null 2>"$DIR"/../err
        echo "code: $?"
        cat "$DIR"/../err >&2
        rm "$DIR"/ballast
        cmp "$P" "$DIR"/../old.h5 || exit 97
        ls -A "$DIR" | cmp - "$DIR"/../before || exit 96
    done
done
"$H" verify "$P" >/dev/null || exit 95
"$H" publish "$DIR"/../w.h5 -o "$P" >/dev/null || exit 94
"#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).env("H", env!("CARGO_BIN_EXE_h5part")).env("DIR", &folder);
    let Ok(output) = command.output() else {
        println!("skipped: unshare is not installed");
        return;
    };
    let (code, out, err) = finished(&output);
    if code == 99 || err.starts_with("unshare") {
        println!("skipped: a tmpfs cannot be mounted here: {err}");
        return;
    }
    assert_eq!(code, 0, "{out}{err}");
    let codes: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("code: ")).collect();
    assert_eq!(codes, ["7"; 15], "{err}");
    assert!(err.lines().all(|line| line.contains("p.h5") || line.starts_with("hint: ") || line.is_empty()), "{err}");
}
