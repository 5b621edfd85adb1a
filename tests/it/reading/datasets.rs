//! Reading without the library: chunks of every kind that h5py writes, any selection, and files that change while a
//! reader has them open.

use crate::common::support::{Scratch, ok, py, run, small_store};
use h5part::ErrorKind;
use h5part_base::dataspace::{ColumnSpec, Dtype, Inner, Rows};
use h5part_engine::store::{Block, CellState, Filters, NewTable, Store, Values};
use ndarray::{Array1, Array2, Array3};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::Path;

const ROWS: u64 = 57;

/// Writes datasets in every way that h5py has, and the expected values as plain bytes.
const WRITE: &str = r"
import sys, h5py, json, numpy as np
path, folder = sys.argv[1:3]
rng = np.random.default_rng(int(sys.argv[3]))
rows, made = 57, []
ways = [dict(), dict(compression='gzip', compression_opts=4), dict(compression='gzip', shuffle=True), dict(shuffle=True),
        dict(fletcher32=True), dict(compression='gzip', fletcher32=True, shuffle=True), dict(compression='lzf'),
        dict(compression='lzf', shuffle=True, fletcher32=True), dict(scaleoffset=True), dict(compression='gzip', compression_opts=0)]
types = ['<f8', '<f4', '<i4', '<u2', '<i8', '|u1', '|b1', '<i2', '>f8', '>i4']
cells = [(), (7,), (5, 3), (2, 3, 4)]
with h5py.File(path, 'w', libver=('earliest', 'latest') if len(sys.argv) > 4 else None) as f:
    g = f.create_group('g')
    for k in range(60):
        way, dtype, cell = ways[k % len(ways)], np.dtype(types[rng.integers(len(types))]), cells[rng.integers(len(cells))]
        if 'scaleoffset' in way:
            dtype = np.dtype('<i4')
        shape = (rows,) + cell
        values = (rng.integers(0, 2, shape) if rng.integers(2) else rng.integers(0, 100, shape)).astype(dtype)
        if dtype.kind == 'f':
            values.reshape(-1)[::7] = rng.standard_normal(values.reshape(-1)[::7].shape)
        chunks = tuple(int(rng.integers(1, n + 1)) for n in shape)
        if rng.integers(2):
            chunks = (chunks[0],) + cell
        maxshape = (None,) + cell if rng.integers(2) else shape
        fill = np.array(3 if dtype.kind != 'b' else True).astype(dtype)
        d = g.create_dataset(f'd{k}', shape=shape, dtype=dtype, chunks=chunks, maxshape=maxshape, fillvalue=fill, **way)
        if rng.integers(3):
            d[...] = values
        else:
            lo, hi = sorted(rng.integers(0, rows, 2))
            d[lo:hi] = values[lo:hi]
            values[:lo], values[hi:] = fill, fill
        little = values.astype(dtype.newbyteorder('<'))
        with open(f'{folder}/d{k}.bin', 'wb') as out:
            out.write(little.tobytes())
        made.append([f'd{k}', list(cell)])
    print(json.dumps(made))
";

/// The bytes of a selection, cut from all values.
fn expected(all: &[u8], rows: &[u64], cell: usize, inner: Option<&Inner>, element: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for &row in rows {
        let cell = &all[row as usize * cell..(row as usize + 1) * cell];
        match inner {
            None => out.extend_from_slice(cell),
            Some(inner) => {
                let mut part = vec![0; inner.shape().iter().product::<u64>() as usize * element];
                for s in inner.segments(element) {
                    part[s.to..s.to + s.len].copy_from_slice(&cell[s.from..s.from + s.len]);
                }
                out.extend(part);
            }
        }
    }
    out
}

fn slices(cell: &[u64]) -> impl Strategy<Value = String> {
    let axes: Vec<_> = cell.iter().map(|&n| (0..n, 1..=n, 1u64..3)).collect();
    axes.prop_map(|axes| {
        let text = |(start, count, step): &(u64, u64, u64)| format!("{start}:{}:{step}", start + count);
        axes.iter().map(text).collect::<Vec<_>>().join(",")
    })
}

#[test]
fn every_chunk_that_h5py_writes_is_read_as_h5py_reads_it() {
    for (seed, latest) in [("1", false), ("2", false), ("3", true)] {
        let scratch = Scratch::in_memory();
        let (file, folder) = (scratch.text("a.h5"), scratch.text(""));
        let args = [file.as_str(), folder.as_str(), seed, "latest"];
        let Some(out) = py(WRITE, &args[..if latest { 4 } else { 3 }]) else { return };
        let made: Vec<(String, Vec<u64>)> = serde_json::from_str(&out).expect("JSON");
        let store = Store::open(&file).expect("opens");
        let mut reader = store.reader("g").expect("reader");
        let by_library = reader.table().columns.iter().filter(|c| c.layout.is_err() && c.filters.is_none()).count();
        assert!((1..10).contains(&by_library), "{by_library} of {} go through the library", made.len());
        for (name, cell) in made {
            let all = std::fs::read(Path::new(&folder).join(format!("{name}.bin"))).expect("bytes");
            let element = reader.table().column(&name).expect("column").dtype().expect("type").size() as usize;
            let bytes = cell.iter().product::<u64>() as usize * element;
            let mut runner = TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() });
            let rows = prop::collection::vec(0..ROWS, 1..20);
            runner
                .run(&(rows, slices(&cell)), |(mut rows, text)| {
                    rows.dedup();
                    let mut seen = std::collections::HashSet::new();
                    rows.retain(|row| seen.insert(*row));
                    let block = reader_read(&store, &name, &rows, None);
                    prop_assert_eq!(block.bytes(), expected(&all, &rows, bytes, None, element), "{} {:?}", name, rows);
                    if let Ok(inner) = Inner::parse(&text, &cell) {
                        let block = reader_read(&store, &name, &rows, Some(&inner));
                        let wanted = expected(&all, &rows, bytes, Some(&inner), element);
                        prop_assert_eq!(block.bytes(), wanted, "{} {:?} {}", name, rows, text);
                        prop_assert_eq!(&block.shape()[1..], inner.shape());
                    }
                    Ok(())
                })
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let whole = reader.read(&name, &Rows::range(0..ROWS)).expect("reads");
            assert!(whole.bytes() == all, "{name} as a whole");
        }
    }
}

fn reader_read(store: &Store, name: &str, rows: &[u64], inner: Option<&Inner>) -> Block {
    let mut reader = store.reader("g").expect("reader");
    let rows = Rows::list(rows);
    match inner {
        None => reader.read(name, &rows),
        Some(inner) => reader.read_inner(name, &rows, inner),
    }
    .expect("reads")
}

/// A table with a compressed column `z` (f64, 3) and a compressed one `k`.
fn packed_store(path: &Path, rows: u64) -> Store {
    let store = Store::new(path).expect("path");
    let columns = vec![ColumnSpec::new("z", Dtype::F64, &[3]), ColumnSpec::new("k", Dtype::I32, &[])];
    let filters = Filters { gzip: Some(4), shuffle: true };
    let table = NewTable { filters, chunk_rows: Some(8), ..NewTable::new("g", rows, columns) };
    store.create(&table, &|_, _| ()).expect("create");
    store
}

fn commit(store: &Store, rows: &[u64], value: f64) {
    let z = Array2::from_elem((rows.len(), 3), value);
    let k = Array1::from_elem(rows.len(), value as i32);
    let values = [("z", Values::from(&z)), ("k", Values::from(&k))];
    store.writer("g").expect("writer").commit(&Rows::list(rows), &values).expect("commit");
}

#[test]
fn a_reader_follows_what_is_committed_to_compressed_columns() {
    let scratch = Scratch::in_memory();
    let store = packed_store(&scratch.path("a.h5"), 40);
    let mut reader = store.reader("g").expect("reader");
    let all = Rows::range(0..40);
    assert!(reader.read("z", &all).expect("reads").mask().iter().all(|there| !there), "nothing is there yet");
    assert!(!reader.refresh().expect("looks"));
    for round in 1..6u32 {
        let rows: Vec<u64> = (0..40).filter(|row| row % u64::from(round + 1) == 0).collect();
        commit(&store, &rows, f64::from(round));
        if round % 2 == 0 {
            assert!(reader.refresh().expect("looks"), "a commit to library columns changes the structure");
        }
        let blocks = reader.read_columns(&["z", "k"], &all).expect("reads");
        let (z, k) = (blocks[0].array::<f64>().expect("f64"), blocks[1].array::<i32>().expect("i32"));
        for row in rows {
            let row = row as usize;
            assert_eq!(
                (z[[row, 2]], k[[row]], blocks[0].states()[row]),
                (f64::from(round), round as i32, CellState::Committed)
            );
        }
        assert!(blocks[0].mask()[1] == (round > 6) && z[[1, 0]].is_nan() && k[[1]] == 0);
    }
    store.extend("g", 43).expect("grows");
    assert!(reader.refresh().expect("looks") && reader.table().rows == 43);
    assert_eq!(reader.read("k", &Rows::list(&[42, 0])).expect("reads").array::<i32>().expect("i32")[[1]], 5);
}

/// Unstamped, in chunks that move: only the metadata that leads to the chunks shows the change.
#[test]
fn a_reader_follows_what_h5py_changes() {
    let scratch = Scratch::in_memory();
    let file = scratch.text("a.h5");
    let make = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'w') as f:\n\
        \x20   f.create_dataset('g/v', data=np.zeros((40, 5)), chunks=(8, 5), compression='gzip')";
    if py(make, &[&file]).is_none() {
        return;
    }
    let store = Store::open(&file).expect("opens");
    let mut reader = store.reader("g").expect("reader");
    for round in 1..5u32 {
        let change = "import sys, h5py, numpy as np\n\
            with h5py.File(sys.argv[1], 'r+') as f:\n\
            \x20   f['g/v'][3:30] = np.random.default_rng(1).standard_normal((27, 5)) * 0 + float(sys.argv[2])\n\
            \x20   f['g/v'][0] = np.random.default_rng(int(sys.argv[2])).standard_normal(5)";
        py(change, &[&file, &round.to_string()]).expect("python");
        let block = reader.read("v", &Rows::range(0..40)).expect("reads").array::<f64>().expect("f64");
        assert!((3..30).all(|row| block[[row, 4]] == f64::from(round)) && block[[35, 0]] == 0.0);
        assert!(block[[0, 0]] != 0.0);
    }
}

#[test]
fn a_damaged_chunk_is_an_error_that_names_it() {
    let scratch = Scratch::in_memory();
    let (path, file) = (scratch.path("a.h5"), scratch.text("a.h5"));
    let store = packed_store(&path, 40);
    let z: Array2<f64> = Array2::from_shape_fn((40, 3), |(i, k)| (i * 31 + k * 7) as f64 / 3.0);
    store.writer("g").expect("writer").commit(&Rows::range(0..40), &[("z", Values::from(&z))]).expect("commit");
    let file_before = std::fs::read(&path).expect("reads");
    // A zlib stream begins with these two bytes; damage the third one of the chunk of rows 16 to 23.
    let starts: Vec<usize> =
        (0..file_before.len() - 1).filter(|&at| file_before[at] == 0x78 && file_before[at + 1] == 0x5E).collect();
    let mut refused = 0;
    for at in starts {
        let mut bytes = file_before.clone();
        bytes[at + 2] ^= 0xFF;
        std::fs::write(&path, &bytes).expect("writes");
        let mut reader = store.reader("g").expect("reader");
        match reader.read("z", &Rows::range(0..40)) {
            Err(e) => {
                assert!(
                    matches!(e.kind(), ErrorKind::DamagedChunk { column, row, .. } if column == "z" && row % 8 == 0),
                    "{e}"
                );
                let (code, _, err) = run(&["read", &file, "g", "z", "--rows", ":"]);
                assert!(code == 5 && err.contains("column 'z': the chunk from row") && err.contains("gzip 4"), "{err}");
                refused += 1;
            }
            // Damage that still decompresses is detected by the stamps.
            Ok(block) => assert!(block.states().contains(&CellState::Changed) || block.bytes().is_empty()),
        }
    }
    assert!(refused > 0, "no chunk was damaged");
}

#[test]
fn inner_selections_of_stamped_columns() {
    let scratch = Scratch::in_memory();
    let (path, file) = (scratch.path("a.h5"), scratch.text("a.h5"));
    let store = small_store(&path, 9);
    let f = Array3::from_shape_fn((2, 4, 3), |(r, i, j)| (100 * r + 10 * i + j) as f64);
    store.writer("t").expect("writer").commit(&Rows::list(&[7, 2]), &[("F", Values::from(&f))]).expect("commit");
    assert_eq!(ok(&["read", &file, "t", "F", "--rows", "2,7", "--inner", "1:3,2"]), "112.0 122.0\n12.0 22.0\n");
    assert_eq!(ok(&["read", &file, "t", "F", "--rows", "7", "--inner", "3"]), "30.0 31.0 32.0\n");
    let (code, out, err) = run(&["read", &file, "t", "F", "--rows", "1,7", "--inner", "::3,::2"]);
    assert!(
        code == 0 && out == "NaN NaN NaN NaN\n0.0 2.0 30.0 32.0\n" && err.contains("1 of 2 rows are not there"),
        "{out}{err}"
    );
    let npy = scratch.text("part.npy");
    ok(&["read", &file, "t", "F", "--rows", ":", "--inner", "0,0", "-o", &npy]);
    if let Some(out) =
        py("import sys, numpy as np; a = np.load(sys.argv[1]); print(a.shape, a[7, 0, 0], a[2, 0, 0])", &[&npy])
    {
        assert_eq!(out, "(9, 1, 1) 0.0 100.0\n");
    }
    for (inner, what) in [("4", "beyond an axis of 4"), ("0,0,0", "a cell has 2 axes"), ("x", "not a whole number")] {
        let (code, _, err) = run(&["read", &file, "t", "F", "--rows", "7", "--inner", inner]);
        assert!(code == 2 && err.contains(what), "{inner}: {err}");
    }
    let (code, _, err) = run(&["read", &file, "t", "E", "--rows", "7", "--inner", "0"]);
    assert!(code == 2 && err.contains("a single value"), "{err}");
}
