//! How fast the proof is: every byte read and summed, beside a bare read of the same bytes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_base::storage::{Disk, Mode, Storage};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Durability, Store, Values};
use h5part_engine::verify::Verify;
use std::num::NonZeroUsize;
use std::path::Path;

/// Bytes of values in each table.
const BYTES: u64 = 256 << 20;
const PORTION: u64 = 8 << 20;

/// A table whose rows are all committed.
fn store(path: &Path, cell: &[u64]) -> Store {
    let cell_bytes = cell.iter().product::<u64>() * 8;
    let rows = BYTES / cell_bytes;
    let store = Store::new(path).expect("path");
    let column = ColumnSpec::new("x", Dtype::F64, cell);
    store.create(&NewTable::new("t", rows, vec![column]), &|_, _| ()).expect("create");
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    for first in (0..rows).step_by(usize::try_from(PORTION / cell_bytes).expect("small")) {
        let end = (first + PORTION / cell_bytes).min(rows);
        let shape: Vec<u64> = [end - first].into_iter().chain(cell.iter().copied()).collect();
        let values: Vec<u8> = (0..(end - first) * cell_bytes).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
        let values = Values::new(Dtype::F64, &shape, values).expect("values");
        writer.commit(&Rows::range(first..end), &[("x", values)]).expect("commit");
    }
    store
}

fn verify(c: &mut Criterion) {
    for (name, cell) in [("rows of 100x3", &[100, 3][..]), ("rows of 3", &[3]), ("rows of 1", &[])] {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = store(&dir.path().join("a.h5"), cell);
        let len = std::fs::metadata(store.path()).expect("there").len();
        let mut group = c.benchmark_group(format!("verify 256 MiB, {name}"));
        group.sample_size(10).throughput(Throughput::Bytes(len));
        for jobs in [1, 2] {
            let how = Verify { jobs: NonZeroUsize::new(jobs), ..Verify::default() };
            group.bench_function(BenchmarkId::new("verify, threads", jobs), |b| {
                b.iter(|| assert!(store.verify(&how, &|_, _| ()).expect("verify").sound));
            });
        }
        group.bench_function("bare read, one thread", |b| {
            b.iter(|| {
                let file = Disk.open(store.path(), Mode::Read).expect("open");
                let mut buf = vec![0; 256 << 10];
                for address in (0..len).step_by(buf.len()) {
                    let here = usize::try_from(len - address).unwrap_or(usize::MAX).min(256 << 10);
                    file.read_at(&mut buf[..here], address).expect("read");
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, verify);
criterion_main!(benches);
