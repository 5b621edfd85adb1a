//! What crash safety costs: structural changes beside the stock driver, overwriting, groups, recovery,
//! adoption, growth.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use h5part::ErrorKind;
use h5part_base::dataspace::{ColumnLayout, ColumnSpec, Dtype, Rows};
use h5part_base::storage::{Disk, Fault, Faulty, Identity, Mode, Storage, StorageFile};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Adopt, Adoption, Bundle, Content, Durability, Member, Store, Values, Writer};
use ndarray::{Array1, Array3};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts the bytes that go to the log of structural changes, and all syncs.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<[AtomicU64; 2]>);

#[derive(Debug)]
struct CountingFile {
    inner: Box<dyn StorageFile>,
    counts: Counting,
    is_log: bool,
}

impl Counting {
    fn take(&self) -> (u64, u64) {
        (self.0[0].swap(0, Ordering::Relaxed), self.0[1].swap(0, Ordering::Relaxed))
    }
}

impl Storage for Counting {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let is_log = path.ends_with("change.log");
        Ok(Box::new(CountingFile { inner: Disk.open(path, mode)?, counts: self.clone(), is_log }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Disk.identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Disk.sync_folder(path)
    }
}

impl StorageFile for CountingFile {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.inner.read_at(buf, address)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        if self.is_log {
            self.counts.0[0].fetch_add(buf.len() as u64, Ordering::Relaxed);
        }
        self.inner.write_at(buf, address)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.counts.0[1].fetch_add(1, Ordering::Relaxed);
        self.inner.sync()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }
}

/// A group of small datasets with a unit each, as BigPlanet archives have one a trial.
fn add_small(file: &hdf5::File, name: &str, count: usize) -> hdf5::Result<()> {
    let group = file.create_group(name)?;
    for k in 0..count {
        let name = format!("entry_{k:03}");
        let dataset =
            group.new_dataset_builder().with_data(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).create(&*name)?;
        dataset.new_attr::<f64>().create("unit")?.write_scalar(&1.0)?;
    }
    Ok(())
}

fn adding_datasets(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("add 500 small datasets to 200,000");
    group.sample_size(10);
    let path = dir.path().join("archive.h5");
    let file = hdf5::File::create(&path).expect("create");
    (0..400).for_each(|k| add_small(&file, &format!("group_{k:03}"), 500).expect("datasets"));
    file.close().expect("close");
    let stock = dir.path().join("stock.h5");
    std::fs::copy(&path, &stock).expect("copy");
    std::fs::File::open(&stock).and_then(|f| f.sync_all()).expect("sync");
    let mut number = 0;
    let mut name = || {
        number += 1;
        format!("added_{number}")
    };
    group.bench_function("stock driver, without sync", |b| {
        b.iter(|| {
            let file = hdf5::File::open_rw(&stock).expect("open");
            add_small(&file, &name(), 500).expect("datasets");
            file.close().expect("close");
        });
    });
    group.bench_function("stock driver, then one fsync", |b| {
        b.iter(|| {
            let file = hdf5::File::open_rw(&stock).expect("open");
            add_small(&file, &name(), 500).expect("datasets");
            file.close().expect("close");
            std::fs::File::open(&stock).and_then(|f| f.sync_all()).expect("sync");
        });
    });
    let counting = Counting::default();
    let store = Store::open(&path).expect("path").with_storage(Arc::new(counting.clone()));
    group.bench_function("guarded change", |b| {
        b.iter(|| {
            let name = name();
            counting.take();
            store.change(|h5| Ok(add_small(h5.library(), &name, 500)?)).expect("change");
        });
    });
    let (log, syncs) = counting.take();
    println!("log of the last change: {log} bytes; syncs: {syncs}");
    group.finish();
}

/// What a trial of vplanet gives: many short texts, and some columns of numbers, each with its unit.
fn trial(datasets: usize) -> Bundle {
    let unit = || vec![("Units".to_owned(), "kg".to_owned())];
    let text = |k: usize| Content::Texts { shape: vec![1], values: vec![format!("{k}.936669e+33")] };
    let floats = || Content::Floats { shape: vec![1, 451], values: vec![1.5; 451] };
    let content = |k: usize| if k.is_multiple_of(7) { floats() } else { text(k) };
    let member = |k| Member { name: format!("earth:Variable{k:03}:final"), content: content(k), attributes: unit() };
    Bundle { members: (0..datasets).map(member).collect() }
}

fn bundles(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("a bundle of 499 datasets");
    group.sample_size(20);
    for before in [10, 10_000] {
        let store = Store::new(dir.path().join(format!("{before}.bpa"))).expect("store");
        store.create_empty().expect("create");
        let small = trial(20);
        store
            .change(|h5| (0..before).try_for_each(|k| h5.add_bundle(&format!("before{k:05}"), &small, false)))
            .expect("fill");
        let full = trial(499);
        let mut number = 0;
        group.bench_function(BenchmarkId::new("added to", before), |b| {
            b.iter(|| {
                number += 1;
                store.add_bundle(&format!("semi_a{number}"), &full, false).expect("add");
            });
        });
        group.bench_function(BenchmarkId::new("read back from", before), |b| {
            b.iter(|| store.check_bundle("semi_a1", &full).expect("check"));
        });
    }
}

fn store(path: &Path, rows: u64, columns: Vec<ColumnSpec>) -> Store {
    let store = Store::new(path).expect("path");
    store.create(&NewTable::new("t", rows, columns), &|_, _| ()).expect("create");
    store
}

fn e_and_f() -> Vec<ColumnSpec> {
    vec![ColumnSpec::new("E", Dtype::F64, &[]), ColumnSpec::new("F", Dtype::F64, &[100, 3])]
}

fn overwriting(c: &mut Criterion) {
    const ROWS: usize = 100;
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("a durable commit of 100 rows of E and F (100x3)");
    group.sample_size(20);
    let store = store(&dir.path().join("a.h5"), 400_000, e_and_f());
    let (e, f) = (Array1::from_elem(ROWS, 1.0), Array3::from_elem((ROWS, 100, 3), 1.0));
    let mut writer = store.writer("t").expect("writer");
    let commit = |writer: &mut Writer, at: u64| {
        let sets = [("E", Values::from(&e)), ("F", Values::from(&f))];
        writer.commit(&Rows::range(at..at + ROWS as u64), &sets).expect("commit");
    };
    let mut at = 0;
    group.bench_function("into empty rows", |b| {
        b.iter(|| {
            commit(&mut writer, at);
            at = (at + ROWS as u64) % 400_000;
        });
    });
    (0..2000).for_each(|k| commit(&mut writer, k * ROWS as u64));
    let mut at = 0;
    group.bench_function("over values", |b| {
        b.iter(|| {
            commit(&mut writer, at);
            at = (at + ROWS as u64) % 200_000;
        });
    });
    let bytes = vec![7; ROWS * 2408];
    std::fs::write(dir.path().join("bare"), &bytes).expect("write");
    let record = Disk.open(&dir.path().join("bare"), Mode::Write).expect("open");
    group.bench_function("one write of the same bytes, and its sync, alone", |b| {
        b.iter(|| {
            record.write_at(&bytes, 0).expect("write");
            record.sync().expect("sync");
        });
    });
    group.finish();
}

const COMMITS: u64 = 1000;

/// Commits of one row each; the rows are fresh, since overwriting costs more.
fn commit_group(writer: &mut Writer, rows: Range<u64>) {
    let (e, f) = (Array1::from_elem(1, 1.0), Array3::from_elem((1, 100, 3), 1.0));
    let sets = [("E", Values::from(&e)), ("F", Values::from(&f))];
    let mut group = writer.group();
    rows.for_each(|row| group.commit(&Rows::one(row), &sets).expect("commit"));
    assert!(group.finish().iter().all(Result::is_ok));
}

fn groups(c: &mut Criterion) {
    const ROWS: u64 = 200_000;
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("1,000 durable commits of one row of E and F (100x3)");
    group.sample_size(10).throughput(Throughput::Elements(COMMITS));
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for (name, together) in [("one by one", false), ("in a group", true)] {
        let store = store(&dir.path().join(format!("{name}.h5")), ROWS, e_and_f());
        let (e, f) = (Array1::from_elem(1, 1.0), Array3::from_elem((1, 100, 3), 1.0));
        let mut writer = store.writer("t").expect("writer");
        let mut rows = (0..ROWS / COMMITS).map(|k| k * COMMITS..(k + 1) * COMMITS).cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let rows = rows.next().expect("endless");
                if together {
                    commit_group(&mut writer, rows);
                } else {
                    for row in rows {
                        let sets = [("E", Values::from(&e)), ("F", Values::from(&f))];
                        writer.commit(&Rows::one(row), &sets).expect("commit");
                    }
                }
            });
        });
    }
    group.finish();
    group_beside_its_syncs(&dir);
}

/// A durable group beside one without syncs, and what the syncs of such a group cost by themselves: the
/// same pieces written bare, with and without them. All in turns, so that the page cache is fair.
fn group_beside_its_syncs(dir: &tempfile::TempDir) {
    const ROUNDS: u64 = 40;
    let stores = [0, 1, 2, 3].map(|k| store(&dir.path().join(format!("turn-{k}.h5")), ROUNDS * COMMITS, e_and_f()));
    let mut power = stores[0].writer("t").expect("writer");
    let mut process = stores[1].writer("t").expect("writer");
    process.set_durability(Durability::Process);
    let mut times = [const { Vec::new() }; 4];
    let mut clock = |k: usize, body: &mut dyn FnMut()| {
        let start = Instant::now();
        body();
        times[k].push(start.elapsed().as_secs_f64() * 1e3);
    };
    for round in 0..ROUNDS {
        let rows = round * COMMITS..(round + 1) * COMMITS;
        clock(0, &mut || commit_group(&mut power, rows.clone()));
        clock(1, &mut || commit_group(&mut process, rows.clone()));
        clock(2, &mut || write_bare(&stores[2], rows.clone(), false));
        clock(3, &mut || write_bare(&stores[3], rows.clone(), true));
    }
    let [power, process, bare, synced] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!(
        "1,000 commits in a group, medians in ms: power {power:.2}, process {process:.2}, bare pieces {bare:.2}, \
         with three syncs {synced:.2}: power / (process + syncs) = {:.2}",
        power / (process + synced - bare)
    );
}

fn write_bare(store: &Store, rows: Range<u64>, synced: bool) {
    let table = store.reader("t").expect("reader").table().clone();
    let place = |name: &str| table.column(name).and_then(|c| c.direct()).expect("direct").clone();
    let (e, f, stamps) = (place("E"), place("F"), &table.stamps.as_ref().expect("stamps").layout);
    let file = Disk.open(store.path(), Mode::Write).expect("open");
    let write = |layout: &ColumnLayout, row, bytes: &[u8]| file.write_at(bytes, layout.find(row).0).expect("write");
    let sync = || {
        if synced {
            file.sync().expect("sync");
        }
    };
    rows.clone().for_each(|row| write(stamps, row, &[1; 16]));
    sync();
    for row in rows.clone() {
        write(&e, row, &[7; 8]);
        write(&f, row, &[7; 2400]);
    }
    sync();
    rows.for_each(|row| write(stamps, row, &[2; 16]));
    sync();
}

fn recovery(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("recovery on 2 GB");
    group.sample_size(10);
    let faulty = Faulty::default();
    let big = store(&dir.path().join("2GB.h5"), 833_000, vec![ColumnSpec::new("F", Dtype::F64, &[100, 3])]);
    let big = big.with_storage(Arc::new(faulty.clone()));
    let f = Array3::from_elem((100, 100, 3), 1.0);
    let commit = |writer: &mut Writer| writer.commit(&Rows::range(5000..5100), &[("F", Values::from(&f))]);
    commit(&mut big.writer("t").expect("writer")).expect("commit");
    group.bench_function("of a writer killed while it replaced 100 rows", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let mut writer = big.writer("t").expect("writer");
                // Record, its sync, stamps, their sync: then half of the values.
                faulty.arm(Some(Fault { call: 4, errno: 5, persistent: true }));
                assert!(commit(&mut writer).is_err());
                faulty.arm(None);
                drop(writer);
                let start = Instant::now();
                let found = big.recover().expect("recover");
                spent += start.elapsed();
                assert_eq!(found.records, 1);
            }
            spent
        });
    });
    group.finish();
}

fn adoption(c: &mut Criterion) {
    const ROWS: usize = 100_000;
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("adopt 240 MB");
    group.sample_size(10).throughput(Throughput::Bytes(ROWS as u64 * 2408));
    group.bench_function("E and F (100x3), contiguous", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let path = dir.path().join("foreign.h5");
                let file = hdf5::File::create(&path).expect("create");
                let t = file.create_group("t").expect("group");
                t.new_dataset_builder().with_data(&Array1::from_elem(ROWS, 1.0)).create("E").expect("E");
                t.new_dataset_builder().with_data(&Array3::from_elem((ROWS, 100, 3), 1.0)).create("F").expect("F");
                drop(t);
                file.close().expect("close");
                let how = Adoption { committed: Adopt::All, ..Adoption::default() };
                let store = Store::open(&path).expect("store");
                let start = Instant::now();
                let done = store.adopt("t", &how, &|_, _| ()).expect("adopt");
                spent += start.elapsed();
                assert_eq!(done.committed, 2 * ROWS as u64);
                std::fs::remove_file(&path).expect("remove");
            }
            spent
        });
    });
    group.finish();
}

fn growth(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut group = c.benchmark_group("extend by one row a table of");
    group.sample_size(20);
    for rows in [10_000u64, 10_000_000] {
        let store = store(&dir.path().join(format!("{rows}.h5")), rows, vec![ColumnSpec::new("E", Dtype::F64, &[])]);
        let mut now = rows;
        group.bench_function(BenchmarkId::from_parameter(rows), |b| {
            b.iter(|| {
                now += 1;
                store.extend("t", now).map_err(h5part::Error::into_kind)?;
                Ok::<_, ErrorKind>(())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, adding_datasets, bundles, overwriting, groups, recovery, adoption, growth);
criterion_main!(benches);
