//! What the parts cost: planning, commits by size, lock round trips, checksums.

#![expect(clippy::single_range_in_vec_init, reason = "one range is what is measured")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use h5part_base::dataspace::{ColumnLayout, ColumnSpec, Dtype, Place, Rows, cover, pieces};
use h5part_base::lock::{Gate, Paths, Patience, RowLocks, StockReaders};
use h5part_base::record::stamp::{Seed, Stamp};
use h5part_base::storage::{Disk, Storage};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Durability, Store, Values, Writer};
use ndarray::{Array1, Array3};
use std::hint::black_box;
use std::sync::Arc;
use uuid::Uuid;

fn store(dir: &tempfile::TempDir, name: &str, rows: u64, columns: Vec<ColumnSpec>) -> Store {
    let store = Store::new(dir.path().join(name)).expect("path");
    let table = NewTable::new("t", rows, columns);
    store.create(&table, &|_, _| ()).expect("create");
    store
}

fn writer(store: &Store) -> Writer {
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    writer
}

fn planning(c: &mut Criterion) {
    let addresses = (0..1000).map(|k| 4096 + k * 1_048_800).collect();
    let place = Place::Chunked { chunk_rows: 437, addresses };
    let layout = ColumnLayout { rows: 437_000, cell_bytes: 2400, place };
    let mut group = c.benchmark_group("plan");
    for (name, rows) in [
        ("one", Rows::one(5)),
        ("100 in a row", Rows::range(400..500)),
        ("1000 scattered", Rows::list(&scattered(1000))),
    ] {
        let mut out = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                let runs = black_box(&rows).runs().expect("runs");
                pieces(&layout, &runs, &mut out);
                cover(runs.as_slice(), 64).len() + out.len()
            });
        });
    }
    group.finish();
}

fn scattered(count: u64) -> Vec<u64> {
    (0..count).map(|k| (k * 7919) % 400_000).collect()
}

fn checksums(c: &mut Criterion) {
    let seed = Seed::new(&Uuid::from_u128(1), 1, 0);
    let mut group = c.benchmark_group("checksum");
    for size in [8usize, 2400, 65_536] {
        let cell = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &cell, |b, cell| {
            b.iter(|| seed.seal(Stamp::committed(1), black_box(3), cell));
        });
    }
    group.finish();
}

fn locks(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = store(&dir, "locks.h5", 1000, vec![ColumnSpec::new("E", Dtype::F64, &[])]);
    let paths = Paths::of(store.path()).expect("paths");
    let rows = Arc::new(RowLocks::open(&paths).expect("locks"));
    let gate = Gate::open(&paths, &(Arc::new(Disk) as Arc<dyn Storage>), Arc::clone(&rows)).expect("gate");
    let patience = Patience::default();
    let mut group = c.benchmark_group("lock");
    group.bench_function("gate, shared", |b| b.iter(|| drop(gate.enter_shared(&patience).expect("enter"))));
    group.bench_function("gate, exclusive", |b| {
        b.iter(|| drop(gate.enter_exclusive(&patience, StockReaders::MustLeave).expect("enter")));
    });
    group.bench_function("one row", |b| b.iter(|| drop(rows.lock(1, &[5..6], &patience).expect("lock"))));
    group.bench_function("64 ranges", |b| {
        let ranges: Vec<_> = (0..64).map(|k| k * 10..k * 10 + 1).collect();
        b.iter(|| drop(rows.lock(1, &ranges, &patience).expect("lock")));
    });
    group.finish();
}

fn commits(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let columns = vec![ColumnSpec::new("E", Dtype::F64, &[]), ColumnSpec::new("F", Dtype::F64, &[100, 3])];
    let store = store(&dir, "commits.h5", 40_000, columns);
    let mut group = c.benchmark_group("commit of E and F (100x3), overwriting");
    for rows in [1u64, 10, 100] {
        let mut writer = writer(&store);
        let n = usize::try_from(rows).expect("small");
        let (e, f) = (Array1::from_elem(n, 1.0), Array3::from_elem((n, 100, 3), 1.0));
        let mut at = 0;
        group.throughput(Throughput::Bytes(rows * 2408));
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter(|| {
                at = (at + rows) % (40_000 - rows);
                writer
                    .commit(&Rows::range(at..at + rows), &[("E", Values::from(&e)), ("F", Values::from(&f))])
                    .expect("commit")
            });
        });
    }
    group.finish();
}

/// The same in tables of very different size (G5).
fn table_size(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("commit of 100 skinny rows in a table of");
    for rows in [10_000u64, 10_000_000] {
        let store = store(&dir, &format!("{rows}.h5"), rows, vec![ColumnSpec::new("E", Dtype::F64, &[])]);
        let mut writer = writer(&store);
        let e = Array1::from_elem(100, 1.0);
        // The same rows of both, so that it is the table that differs and not the page cache.
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter(|| {
                at = (at + 100) % 9_000;
                writer.commit(&Rows::range(at..at + 100), &[("E", Values::from(&e))]).expect("commit")
            });
        });
    }
    group.finish();
}

fn opening(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("open");
    group.sample_size(20);
    let big = store(&dir, "2GB.h5", 833_000, vec![ColumnSpec::new("F", Dtype::F64, &[100, 3])]);
    group.bench_function("a writer on 2 GB", |b| {
        b.iter_batched(|| (), |()| big.writer("t").expect("writer"), BatchSize::PerIteration);
    });
    group.bench_function("a reader on 2 GB", |b| {
        b.iter_batched(|| (), |()| big.reader("t").expect("reader"), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, planning, checksums, locks, commits, table_size, opening);
criterion_main!(benches);
