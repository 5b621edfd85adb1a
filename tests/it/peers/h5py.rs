//! Comparison with Python: h5py reads what h5part writes, h5part reads what h5py writes, and a program that polls the
//! lock file gets its turn beside writers that never pause.

use crate::common::support::{Scratch, ok, py, python, run};
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Durability, Store, Values};
use ndarray::{Array1, Array3};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn h5py_reads_what_h5part_writes() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&[
        "create",
        &file,
        "a/b",
        "--rows",
        "5",
        "--column",
        "E (eV∕Å):f64",
        "--column",
        "b:bool",
        "--column",
        "u:u16:2=7",
    ]);
    let e = scratch.npy("e.npy", &[2], &[1.5, 2.5]);
    ok(&["update", &file, "a/b", "--rows", "3,1", "--set", &format!("E (eV∕Å)={e}")]);
    let script = "import sys, h5py, numpy as np\n\
        f = h5py.File(sys.argv[1])\n\
        g = f['a/b']\n\
        print(g[sys.argv[2]][...].tolist(), g['b'].dtype, g['u'][0].tolist(), g['u'].dtype)";
    if let Some(out) = py(script, &[&file, "E (eV∕Å)"]) {
        assert_eq!(out, "[nan, 2.5, nan, 1.5, nan] bool [7, 7] uint16\n");
    }
}

#[test]
fn h5part_reads_what_h5py_writes() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let script = "import sys, h5py, numpy as np\n\
        f = h5py.File(sys.argv[1], 'w')\n\
        g = f.create_group('g')\n\
        g['plain'] = np.arange(20.).reshape(10, 2)\n\
        g.create_dataset('gzip', data=np.arange(30, dtype='i4').reshape(10, 3), chunks=(4, 2), compression='gzip', shuffle=True)\n\
        g.create_dataset('big', data=np.arange(10, dtype='>f8'))\n\
        g.create_dataset('late', shape=(10,), dtype='u2', chunks=(3,), fillvalue=9)\n\
        g['flag'] = np.arange(10) % 2 == 0\n\
        g.create_dataset('name', data=['x'] * 10, dtype=h5py.string_dtype())\n\
        g['other length'] = np.zeros(3)";
    if py(script, &[&file]).is_none() {
        return;
    }
    let read = |name: &str, rows: &str| ok(&["read", &file, "g", name, "--rows", rows]);
    assert_eq!(read("plain", "9,0"), "18.0 19.0\n0.0 1.0\n");
    assert_eq!(read("gzip", "8:10,2"), "24 25 26\n27 28 29\n6 7 8\n");
    assert_eq!(read("big", "3"), "3.0\n");
    assert_eq!(read("late", "0,9"), "9\n9\n");
    assert_eq!(read("flag", "0:2"), "true\nfalse\n");
    let (code, _, err) = run(&["read", &file, "g", "name", "--rows", "0"]);
    assert!(code == 10 && err.contains("'name' has type"), "{err}");
    let info: serde_json::Value = serde_json::from_str(&ok(&["info", &file, "--json"])).expect("JSON");
    let columns = info["tables"][0]["columns"].as_array().expect("columns").clone();
    let access =
        |name: &str| columns.iter().find(|c| c["name"] == name).map(|c| (c["access"].clone(), c["reason"].to_string()));
    assert_eq!(access("plain").expect("there").0, "direct");
    let why = [
        ("gzip", "chunks", "filtered (shuffle, gzip 4)"),
        ("big", "library", "big-endian"),
        ("late", "chunks", "late allocation"),
        ("name", "library", "type"),
    ];
    for (name, how, why) in why {
        let (access, reason) = access(name).expect("there");
        assert!(access == how && reason.contains(why), "{name}: {access} {reason}");
    }
    assert_eq!(access("other length"), None);
}

/// The documented protocol of `mbe_automation`: `flock(LOCK_EX | LOCK_NB)` on FILE.lock every 2 to 5 s. While it holds
/// the lock, h5py changes its own rows. Afterwards its writes and ours are both in the file.
#[test]
fn a_poller_gets_the_gate_beside_writers_that_never_pause() {
    for how in ["once", "each time"] {
        let scratch = Scratch::new();
        let store = crate::common::support::small_store(&scratch.path("a.h5"), 4000);
        let file = store.path().to_str().expect("UTF-8").to_owned();
        let script = "import sys, os, fcntl, time, random, h5py\n\
            path, how = sys.argv[1:]\n\
            start = time.monotonic()\n\
            lock = None\n\
            for turn in range(3):\n\
            \x20   while True:\n\
            \x20       if lock is None: lock = open(path + '.lock', 'a')\n\
            \x20       try:\n\
            \x20           fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
            \x20           break\n\
            \x20       except BlockingIOError:\n\
            \x20           if how == 'each time': lock.close(); lock = None\n\
            \x20           time.sleep(random.uniform(2, 5))\n\
            \x20   with h5py.File(path, 'r+') as f:\n\
            \x20       f['t/E'][3990 + turn] = 7.5\n\
            \x20       f['t'].require_group('notes').attrs['turn %d' % turn] = turn\n\
            \x20   fcntl.flock(lock, fcntl.LOCK_UN)\n\
            \x20   print(round(time.monotonic() - start, 1), flush=True)\n\
            \x20   time.sleep(1)\n";
        let Some(mut poller) = python(script, &[&file, how]) else { return };
        let stop = AtomicBool::new(false);
        let commits = AtomicU64::new(0);
        let output = std::thread::scope(|scope| {
            for writer in 0..4 {
                let (store, stop, commits) = (&store, &stop, &commits);
                scope.spawn(move || never_pause(store, writer, stop, commits));
            }
            std::thread::sleep(Duration::from_millis(500));
            let output =
                poller.stdout(std::process::Stdio::piped()).spawn().expect("starts").wait_with_output().expect("ends");
            stop.store(true, Ordering::Relaxed);
            output
        });
        let turns: Vec<f64> =
            String::from_utf8_lossy(&output.stdout).lines().map(|l| l.parse().expect("seconds")).collect();
        assert_eq!(turns.len(), 3, "{output:?}");
        let longest = turns.iter().fold((0.0, 0.0), |(longest, last), &t| (f64::max(longest, t - last), t)).0;
        println!(
            "opening {how}: the poller had its turns after {turns:?} s, the longest {longest} s, beside {} commits",
            commits.load(Ordering::Relaxed)
        );
        let through_h5py =
            hdf5::File::open(&file).expect("opens").dataset("t/E").expect("E").read_raw::<f64>().expect("read");
        assert!(through_h5py[3990..3993].iter().all(|&v| v == 7.5), "its writes are there");
        let block = store.reader("t").expect("reader").read("E", &Rows::range(0..3900)).expect("read");
        assert!(block.mask().iter().all(|&m| m), "ours are there");
    }
}

fn never_pause(store: &Store, writer: u64, stop: &AtomicBool, commits: &AtomicU64) {
    let mut open = store.writer("t").expect("writer");
    open.set_durability(Durability::Process);
    let mut round = 0.0;
    while !stop.load(Ordering::Relaxed) {
        round += 1.0;
        for row in (writer * 975..(writer + 1) * 975).step_by(5) {
            let (e, f) = (Array1::from_elem(5, round), Array3::from_elem((5, 4, 3), round));
            open.commit(&Rows::range(row..row + 5), &[("E", Values::from(&e)), ("F", Values::from(&f))])
                .expect("commit");
            commits.fetch_add(1, Ordering::Relaxed);
            // At least one pass over all rows.
            if round > 1.0 && stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// A stock reader can open the file beside writers.
#[test]
fn h5py_reads_beside_writers() {
    let scratch = Scratch::new();
    let store = crate::common::support::small_store(&scratch.path("a.h5"), 400);
    let script = "import sys, time, h5py\n\
        end = time.monotonic() + 3\n\
        n = 0\n\
        while time.monotonic() < end or n < 20:\n\
        \x20   with h5py.File(sys.argv[1], 'r') as f: f['t/E'][...]\n\
        \x20   n += 1\n\
        print(n)";
    let Some(mut reader) = python(script, &[store.path().to_str().expect("UTF-8")]) else { return };
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut open = store.writer("t").expect("writer");
            while !stop.load(Ordering::Relaxed) {
                let e = Array1::from_elem(1, 1.0);
                open.commit(&Rows::one(3), &[("E", Values::from(&e))]).expect("commit");
            }
        });
        let output = reader.output().expect("runs");
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("no commit failed");
        assert!(output.status.success(), "{output:?}");
        println!("{} opens in {:?}", String::from_utf8_lossy(&output.stdout).trim(), start.elapsed());
    });
}

/// Groups that contain each other, and a name that leads nowhere.
#[test]
fn links_in_circles_and_into_nothing() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let script = "import sys, h5py, numpy as np\n\
        f = h5py.File(sys.argv[1], 'w')\n\
        a = f.create_group('a'); b = a.create_group('b')\n\
        b['back'] = a; b['root'] = f['/']\n\
        a['E'] = np.arange(3.)\n\
        f['nowhere'] = h5py.SoftLink('/no/such/thing')\n\
        a['soft'] = h5py.SoftLink('/a')";
    if py(script, &[&file]).is_none() {
        return;
    }
    let info: serde_json::Value = serde_json::from_str(&ok(&["info", &file, "--json"])).expect("JSON");
    assert_eq!(info["tables"].as_array().expect("tables").len(), 1, "{info}");
    assert_eq!(ok(&["read", &file, "a/b/back", "E", "--rows", "2"]), "2.0\n");
    assert_eq!(run(&["status", &file]).0, 0);
}
