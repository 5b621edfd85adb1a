//! Compressed columns: concurrent writers of the same chunks, h5py tables with every filter, and damage.

use crate::common::support::{Scratch, finished, ok, py, run};
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::publish::{Packing, Publishing};
use h5part_engine::store::{CellState, Durability, Filters, NewTable, Reader, Store, Values};
use h5part_engine::verify::Verify;
use ndarray::{Array1, Array2};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Rows of the table at first, in the end, and in a chunk.
const FIRST: u64 = 40;
const LAST: u64 = 75;
const CHUNK: u64 = 8;
/// Writers: the first ones are threads, the others processes. Writer `w` has the rows with remainder `w`.
const THREADS: u64 = 3;
const WRITERS: u64 = 5;
const ROUNDS: u64 = 12;

/// The value in all columns of a row after a commit with this version.
fn value(row: u64, version: u64) -> u64 {
    row * 1000 + version
}

/// Rows of writer `w` among the first `rows`, from all chunks, different ones each round.
fn rows_of(w: u64, rows: u64, round: u64) -> Vec<u64> {
    // The last round takes all.
    (0..rows)
        .filter(|row| row % WRITERS == w && (round == ROUNDS || !(row / WRITERS + round).is_multiple_of(3)))
        .collect()
}

fn thread_writes(store: &Store, w: u64, rows: &AtomicU64) {
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    for round in 1..=ROUNDS {
        let rows = rows_of(w, seen(rows, round), round);
        for rows in rows.chunks(4) {
            let k: Array1<i64> = rows.iter().map(|&row| value(row, round) as i64).collect();
            let z = Array2::from_shape_fn((rows.len(), 3), |(i, j)| (k[i] + j as i64) as f64);
            writer.commit(&Rows::list(rows), &[("k", Values::from(&k)), ("z", Values::from(&z))]).expect("commit");
        }
    }
}

fn process_writes(file: &str, w: u64, rows: &AtomicU64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["update", file, "t", "--stream", "--group", "3", "--durability", "process"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut requests = child.stdin.take().expect("piped");
    let mut answers = BufReader::new(child.stdout.take().expect("piped")).lines();
    for round in 1..=ROUNDS {
        let rows = rows_of(w, seen(rows, round), round);
        let parts: Vec<&[u64]> = rows.chunks(4).collect();
        for rows in &parts {
            let k: Vec<u64> = rows.iter().map(|&row| value(row, round)).collect();
            let z: Vec<[u64; 3]> = k.iter().map(|k| [*k, k + 1, k + 2]).collect();
            let request = serde_json::json!({ "rows": rows, "set": { "k": k, "z": z } });
            writeln!(requests, "{request}").expect("writes");
        }
        for _ in parts {
            let answer = answers.next().expect("answers").expect("text");
            assert!(answer.contains("\"ok\":true"), "{answer}");
        }
    }
    drop(requests);
    assert!(child.wait().expect("ends").success());
}

/// The current number of rows; in the last round, waits until all are there.
fn seen(rows: &AtomicU64, round: u64) -> u64 {
    while round == ROUNDS && rows.load(Ordering::Acquire) < LAST {
        std::thread::sleep(Duration::from_millis(1));
    }
    rows.load(Ordering::Acquire)
}

/// Checks that each row comes from one commit. Returns the versions of the rows, if they have values.
fn versions(reader: &mut Reader) -> Vec<Option<u64>> {
    let rows = reader.table().rows;
    let blocks = reader.read_columns(&["k", "z"], &Rows::range(0..rows)).expect("reads");
    let (k, z) = (blocks[0].array::<i64>().expect("k"), blocks[1].array::<f64>().expect("z"));
    let version = |row: usize| {
        let states = (blocks[0].states()[row], blocks[1].states()[row]);
        let (k, z) = (k[[row]], [z[[row, 0]], z[[row, 1]], z[[row, 2]]]);
        if states == (CellState::Committed, CellState::Committed) {
            assert_eq!(z, [k as f64, (k + 1) as f64, (k + 2) as f64], "row {row} is of two commits");
            assert_eq!(k / 1000, row as i64, "row {row} holds another row's value");
            Some(k.cast_unsigned() % 1000)
        } else {
            assert!(states == (CellState::Missing, CellState::Missing) && k == -1, "row {row}: {states:?} {k}");
            None
        }
    };
    (0..rows as usize).map(version).collect()
}

/// Reads, and publishes, until it is stopped. No version goes back, and no row is a mixture of two commits.
fn watch(store: &Store, out: &Store, stop: &AtomicBool, publishes: bool) -> u32 {
    let (mut last, mut looks) = (Vec::new(), 0);
    while !stop.load(Ordering::Acquire) {
        let mut reader = if publishes {
            let gzip = Packing::Gzip { level: 1, shuffle: looks % 2 == 0 };
            let packing = if looks % 3 == 2 { Packing::Plain } else { gzip };
            let how = Publishing { packing, ..Publishing::default() };
            store.publish(out, how, &|_, _| ()).expect("publishes");
            out.reader("t").expect("reader")
        } else {
            store.reader("t").expect("reader")
        };
        let now = versions(&mut reader);
        assert!(last.iter().zip(&now).all(|(last, now)| last <= now), "{last:?} {now:?}");
        (last, looks) = (now, looks + 1);
    }
    looks
}

#[test]
fn many_write_the_same_chunks_while_the_table_grows() {
    for shuffle in [false, true] {
        let scratch = Scratch::in_memory();
        let (store, out) = (Store::new(scratch.path("w.h5")), Store::new(scratch.path("p.h5")));
        let (store, out) = (store.expect("path"), out.expect("path"));
        let k = ColumnSpec { fill: (-1i64).to_le_bytes().to_vec(), ..ColumnSpec::new("k", Dtype::I64, &[]) };
        let columns = vec![k, ColumnSpec::new("z", Dtype::F64, &[3])];
        let filters = Filters { gzip: Some(1), shuffle };
        let table = NewTable { filters, chunk_rows: Some(CHUNK), ..NewTable::new("t", FIRST, columns) };
        store.create(&table, &|_, _| ()).expect("create");
        let (rows, stop) = (AtomicU64::new(FIRST), AtomicBool::new(false));
        let file = scratch.text("w.h5");
        let looks = std::thread::scope(|scope| {
            let (store, out, rows, stop, file) = (&store, &out, &rows, &stop, &file);
            let watchers = [false, true].map(|publishes| scope.spawn(move || watch(store, out, stop, publishes)));
            let mut writers = Vec::new();
            for w in 0..WRITERS {
                writers.push(scope.spawn(move || {
                    if w < THREADS { thread_writes(store, w, rows) } else { process_writes(file, w, rows) }
                }));
            }
            writers.push(scope.spawn(move || {
                for more in (FIRST + 5..=LAST).step_by(5) {
                    store.extend("t", more).expect("grows");
                    rows.store(more, Ordering::Release);
                }
            }));
            let ended: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            stop.store(true, Ordering::Release);
            for ended in ended {
                ended.expect("writes");
            }
            watchers.map(|watcher| watcher.join().expect("sees whole rows"))
        });
        println!("read {} times, published {} times", looks[0], looks[1]);
        let found = versions(&mut store.reader("t").expect("reader"));
        assert_eq!(found, vec![Some(ROUNDS); LAST as usize], "shuffle {shuffle}: what was acknowledged is there");
        let report = store.verify(&Verify::default(), &|_, _| ()).expect("looks");
        assert!(report.sound && report.findings.is_empty(), "{:#?}", report.findings);
    }
}

/// Columns of h5py with its filters, with chunks that split the cells, and elements of both byte orders.
const MADE: &str = r"
import sys, h5py, numpy as np
n = np.arange(120.).reshape(20, 6)
ways = dict(
    lzf=dict(data=n, chunks=(7, 6), compression='lzf'),
    lzf_split=dict(data=n, chunks=(3, 4), compression='lzf', shuffle=True),
    sum=dict(data=n, chunks=(6, 6), fletcher32=True),
    sum_split=dict(data=n.astype('i4'), chunks=(5, 4), fletcher32=True, compression='gzip', maxshape=(None, 6)),
    big=dict(data=n.astype('>f8'), chunks=(6, 6), compression='gzip'),
    big_split=dict(data=n.astype('>i2'), chunks=(7, 5), compression='gzip', shuffle=True, fletcher32=True),
    split=dict(data=n.astype('f4'), chunks=(4, 1), compression='gzip', maxshape=(None, None)),
    part=dict(shape=(20, 6), dtype='>i4', chunks=(3, 5), compression='lzf', fillvalue=7),
)
with h5py.File(sys.argv[1], 'w', libver=(sys.argv[2], 'latest')) as f:
    for name, way in ways.items():
        f.create_dataset('g/' + name, **way)
    f['g/part'][4:9] = n[4:9]
print(' '.join(ways))
";

/// All columns of the table, as whole numbers.
const LOOK: &str = "import sys, h5py, json\n\
    with h5py.File(sys.argv[1]) as f: print(json.dumps({k: d[...].astype(int).tolist() for k, d in f['g'].items()}))";

type Numbers = BTreeMap<String, Vec<Vec<i64>>>;

#[test]
fn tables_of_h5py_in_every_filter_are_adopted_and_updated() {
    for libver in ["earliest", "v110"] {
        let scratch = Scratch::in_memory();
        let file = scratch.text("a.h5");
        if py(MADE, &[&file, libver]).is_none() {
            return;
        }
        ok(&["adopt", &file, "g", "--committed", "all"]);
        let mut wanted = by_h5py(&file);
        assert_eq!(wanted.len(), 8);
        let update = |wanted: &mut Numbers, rows: &[usize], first: i64| {
            for column in wanted.clone().keys() {
                let (code, _, err) = set(&scratch, &file, wanted, column, rows, first, &[]);
                assert_eq!(code, 0, "{column}: {err}");
            }
        };
        update(&mut wanted, &[19, 0, 7, 8], -1);
        alike(&file, &wanted, "overwritten");
        ok(&["reset", &file, "g", "--rows", "5:8"]);
        update(&mut wanted, &[6, 5], -100);
        update(&mut wanted, &[7], -200);
        alike(&file, &wanted, "fresh");
        let change = "import sys, h5py\n\
            with h5py.File(sys.argv[1], 'r+') as f:\n\
            \x20   for d in f['g'].values(): d[8, 5] = 99";
        py(change, &[&file]).expect("h5py");
        for column in wanted.clone().keys() {
            let (code, _, err) = set(&scratch, &file, &mut wanted, column, &[9, 8], -300, &[]);
            assert!(code == 9 && err.contains(&format!("'{column}'")) && err.contains('8'), "{column}: {code} {err}");
            wanted.get_mut(column).expect("column")[8][5] = 99;
        }
        assert_eq!(by_h5py(&file), wanted, "nothing was written");
        update(&mut wanted, &[10, 2], -400);
        assert_eq!(by_h5py(&file), wanted, "other rows of the chunk are free");
        for column in wanted.clone().keys() {
            let (code, _, err) = set(&scratch, &file, &mut wanted, column, &[9, 8], -500, &["--accept-foreign"]);
            assert_eq!(code, 0, "{column}: {err}");
        }
        alike(&file, &wanted, "accepted");
        ok(&["verify", &file]);
        ok(&["publish", &file, "-o", &scratch.text("p.h5")]);
    }
}

/// Small chunks whose packed length is now and then their plain length: 11 zeros are packed into 11 bytes.
const SMALL_CHUNKS: &str = r#"
import subprocess, sys
import h5py, numpy as np
from h5py import h5d, h5p, h5s, h5t
file, h5part, alloc, values = sys.argv[1:]
p = h5p.create(h5p.DATASET_CREATE)
p.set_chunk((1, 1, 11))
p.set_deflate(1)
p.set_alloc_time(getattr(h5d, "ALLOC_TIME_" + alloc))
with h5py.File(file, "w") as f:
    h5d.create(f.create_group("g").id, b"c", h5t.STD_U8LE, h5s.create_simple((4, 2, 11)), p)
rng, want = np.random.default_rng(7), np.zeros((4, 2, 11), "u1")
for step in range(12):
    row = [2, 0, 2, 3, 1, 1][step % 6]
    want[row] = [rng.integers(0, 256, (2, 11)), 0, 120, rng.integers(0, 2, (2, 11))][step % 4]
    np.save(values, want[row:row + 1])
    subprocess.run([h5part, "update", file, "g", "--rows", str(row), "--set", "c=" + values], check=True)
    with h5py.File(file) as f:
        assert (f["g/c"][...] == want).all(), f"{alloc}, step {step}"
"#;

#[test]
fn a_chunk_that_keeps_its_length_gets_the_filter_mask_of_its_new_bytes() {
    for alloc in ["EARLY", "LATE", "INCR"] {
        let scratch = Scratch::in_memory();
        let (file, values) = (scratch.text("a.h5"), scratch.text("v.npy"));
        if py(SMALL_CHUNKS, &[&file, env!("CARGO_BIN_EXE_h5part"), alloc, &values]).is_none() {
            return;
        }
        ok(&["adopt", &file, "g", "--committed", "all"]);
        ok(&["verify", &file]);
    }
}

fn by_h5py(file: &str) -> Numbers {
    serde_json::from_str(&py(LOOK, &[file]).expect("h5py")).expect("JSON")
}

/// Checks that h5py and h5part both read the expected numbers.
fn alike(file: &str, wanted: &Numbers, when: &str) {
    assert_eq!(&by_h5py(file), wanted, "{when}: h5py");
    for (column, wanted) in wanted {
        let number = |text: &str| text.parse::<f64>().expect("number") as i64;
        let text = ok(&["read", file, "g", column, "--rows", ":"]);
        let ours: Vec<Vec<i64>> = text.lines().map(|line| line.split(' ').map(number).collect()).collect();
        assert_eq!(&ours, wanted, "{column}, {when}: h5part");
    }
}

/// Updates rows of a column with numbers that go down from `first`. The expected numbers change accordingly.
fn set(
    scratch: &Scratch,
    file: &str,
    wanted: &mut Numbers,
    column: &str,
    rows: &[usize],
    first: i64,
    more: &[&str],
) -> (i32, String, String) {
    let values: Vec<f64> = (0..rows.len() as i64 * 6).map(|k| (first - k) as f64).collect();
    let set = format!("{column}={}", scratch.npy("v.npy", &[rows.len() as u64, 6], &values));
    let text = rows.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let ended = run(&[&["update", file, "g", "--rows", &text, "--cast", "--set", &set], more].concat());
    if ended.0 == 0 {
        for (row, values) in rows.iter().zip(values.chunks(6)) {
            wanted.get_mut(column).expect("column")[*row] = values.iter().map(|v| *v as i64).collect();
        }
    }
    ended
}

/// The columns of one file, the bytes of each column's chunks, and the bytes of their index.
const DAMAGED: &str = r"
import sys, h5py, json, numpy as np
path, what = sys.argv[1:3]
n = np.arange(240.).reshape(40, 6) % 37
if what == 'make':
    with h5py.File(path, 'w', libver=(sys.argv[3], 'latest')) as f:
        for name, way in dict(gzip=dict(compression='gzip', shuffle=True), lzf=dict(compression='lzf'),
                              sum=dict(fletcher32=True), all=dict(compression='gzip', fletcher32=True)).items():
            for kind, maxshape in dict(fixed=(40, 6), one=(None, 6), two=(None, None)).items():
                f.create_dataset(f'g/{name}_{kind}', data=n, chunks=(7, 6), maxshape=maxshape, **way)
else:
    data = open(path, 'rb').read()
    out = {}
    with h5py.File(path) as f:
        for name, d in f['g'].items():
            chunks = [d.id.get_chunk_info(k) for k in range(d.id.get_num_chunks())]
            stored = [p for c in chunks for p in range(c.byte_offset, c.byte_offset + c.size)]
            at = [data.find(c.byte_offset.to_bytes(8, 'little')) for c in chunks]
            index = sorted({p for a in at if a >= 0 for p in range(a - 32, a + 12)} - set(stored))
            out[name] = [stored, index]
    print(json.dumps(out))
";

/// Damage to chunks and their indexes: every command ends in time with its own exit code, and no value that the file
/// does not hold is reported as present.
#[test]
fn damaged_chunks_and_indexes() {
    let seed = std::env::var("H5PART_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_121u64);
    let rounds = std::env::var("H5PART_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(12u32);
    println!("seed {seed}, {rounds} rounds a column (H5PART_SEED, H5PART_ROUNDS)");
    let mut x = seed | 1;
    let mut random = |n: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        usize::try_from(x % n as u64).expect("small")
    };
    let (mut codes, mut masked) = ([0u32; 13], 0);
    for libver in ["earliest", "v110"] {
        let scratch = Scratch::in_memory();
        let (sound, file) = (scratch.text("sound.h5"), scratch.text("a.h5"));
        if py(DAMAGED, &[&sound, "make", libver]).is_none() {
            return;
        }
        ok(&["adopt", &sound, "g", "--committed", "all"]);
        let places = py(DAMAGED, &[&sound, "where"]).expect("h5py");
        let places: BTreeMap<String, [Vec<usize>; 2]> = serde_json::from_str(&places).expect("JSON");
        let whole = std::fs::read(&sound).expect("reads");
        for (column, [stored, index]) in &places {
            assert!(!stored.is_empty() && !index.is_empty(), "{column}");
            for round in 0..rounds {
                let mut bytes = whole.clone();
                let places = if round % 3 == 0 { stored } else { index };
                for _ in 0..=random(2) {
                    let at = places[random(places.len())];
                    match random(4) {
                        0 => bytes[at] ^= 1 << random(8),
                        1 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random(5)],
                        2 => bytes[at..at + 4].fill([0, 0xFF][random(2)]),
                        _ => bytes.copy_within(at..at + 8, places[random(places.len())]),
                    }
                }
                std::fs::write(&file, &bytes).expect("writes");
                let why = format!("seed {seed}, {libver}, {column}, round {round}");
                let commands: [&[&str]; 3] =
                    [&["verify", &file], &["publish", &file, "-o", &scratch.text("p.h5")], &["info", &file, "--json"]];
                codes[survives(commands[round as usize % 3], &why)] += 1;
                let (values, mask) = (scratch.text("v.npy"), scratch.text("m.npy"));
                let read = ["read", &file, "g", column, "--rows", "0:40", "-o", &values, "--mask", &mask];
                let code = survives(&read, &why);
                codes[code] += 1;
                // 1: some rows do not match their stamps.
                if code <= 1 {
                    masked += only_true_values(&values, &mask, &why);
                }
                let _ = std::fs::remove_file(scratch.path("p.h5"));
                let _ = std::fs::remove_dir_all(scratch.path("a.h5.part"));
            }
        }
    }
    println!("exit codes: {codes:?}; {masked} rows were masked");
    assert!(codes[0] > 20 && codes[5] > 20 && masked > 0, "some are damaged, some not: {codes:?}, {masked}");
}

/// Runs a command with little memory and 60 s of processor time. It must end with one of our exit codes.
fn survives(args: &[&str], why: &str) -> usize {
    let limited = ["-c", "ulimit -v 3000000 && ulimit -t 60 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_h5part")];
    let output = Command::new("sh").args(limited).args(args).env("H5PART_LOOK_SECONDS", "5").output().expect("starts");
    let (code, out, err) = finished(&output);
    assert!((0..=12).contains(&code), "{why}: {args:?}: exit code {code}: {out}{err}");
    usize::try_from(code).expect("checked")
}

/// Rows reported as present hold what was adopted. Returns the number of rows that differ.
fn only_true_values(values: &str, mask: &str, why: &str) -> usize {
    let data = |path: &str| {
        let bytes = std::fs::read(path).expect("reads");
        bytes[10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))..].to_vec()
    };
    let (values, mask) = (data(values), data(mask));
    let values: Vec<f64> = values.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8"))).collect();
    for row in (0..40).filter(|row| mask[*row] != 0) {
        for (k, value) in values.iter().enumerate().skip(row * 6).take(6) {
            assert_eq!(*value, k as f64 % 37.0, "{why}: row {row} is said to be there");
        }
    }
    mask.into_iter().filter(|there| *there == 0).count()
}
