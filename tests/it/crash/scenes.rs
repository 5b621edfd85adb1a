//! Row commits to crash: the tables, and what is done to them.

use super::image::{Barrier, Recording};
use super::memory::Memory;
use super::rows::{Bench, Expected, Hidden, Others, rows_of};
use super::states::Sampling;
use super::visit::{Visited, visit};
use crate::common::support::Scratch;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Store, Values, Writer};
use ndarray::{Array1, Array2};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The guard's value of an incomplete row.
pub const UNDEFINED: i64 = 1;

/// A table `t` of ten rows: E (f64), F (f64, `cell`), status (i64).
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub cell: usize,
    /// Whether status is a guard.
    pub guard: bool,
}

/// Values for some rows: E and F hold `value`; status holds `status`.
#[derive(Clone, Debug)]
pub struct Put {
    pub rows: Range<u64>,
    pub value: f64,
    pub status: Option<i64>,
}

/// A step of a writer's work; it is acknowledged when it returns.
pub type Step<'a> = &'a dyn Fn(&mut Writer);

/// A recording, and what each row may hold.
#[derive(Debug)]
pub struct Scene {
    pub recording: Recording,
    pub expected: Expected,
}

impl Shape {
    pub fn store(self, path: &Path) -> Store {
        let status =
            ColumnSpec { fill: UNDEFINED.to_le_bytes().to_vec(), ..ColumnSpec::new("status", Dtype::I64, &[]) };
        let f = ColumnSpec::new("F", Dtype::F64, &[self.cell as u64]);
        let table = NewTable {
            guard: self.guard.then(|| "status".to_owned()),
            ..NewTable::new("t", 10, vec![ColumnSpec::new("E", Dtype::F64, &[]), f, status])
        };
        let store = Store::new(path).expect("path");
        store.create(&table, &|_, _| ()).expect("create");
        store
    }

    /// Another program leaves values in a row without updating the guard.
    pub fn left_by_another(store: &Store, row: u64) {
        let columns = store.reader("t").expect("reader").table().columns.clone();
        let file = std::fs::OpenOptions::new().write(true).open(store.path()).expect("opens");
        for column in columns.iter().filter(|column| column.name != "status") {
            let layout = column.layout.as_ref().expect("direct");
            let values = vec![7.5f64; usize::try_from(layout.cell_bytes / 8).expect("small")];
            file.write_all_at(bytemuck::cast_slice(&values), layout.find(row).0).expect("writes");
        }
    }

    /// Commits rows whose guard is undefined, whatever values another program has left there.
    pub fn put_where_undefined(self, writer: &mut Writer, rows: Range<u64>, value: f64, status: i64) {
        let n = usize::try_from(rows.end - rows.start).expect("small");
        let (e, f) = (Array1::from_elem(n, value), Array2::from_elem((n, self.cell), value));
        let [s, undefined] = [status, UNDEFINED].map(|word| Array1::from_elem(n, word));
        let sets = [("E", Values::from(&e)), ("F", Values::from(&f)), ("status", Values::from(&s))];
        writer.set_accept_foreign(true);
        writer.commit_if(&Rows::range(rows), &sets, &[("status", Values::from(&undefined))]).expect("as expected");
    }

    /// Commits these rows, together.
    pub fn put(self, writer: &mut Writer, puts: &[Put]) {
        let mut group = writer.group();
        for Put { rows, value, status } in puts {
            let n = usize::try_from(rows.end - rows.start).expect("small");
            // Values differ from row to row and within a cell.
            let e = Array1::from_iter((0..n).map(|k| value + k as f64));
            let f = Array2::from_shape_fn((n, self.cell), |(k, at)| value + k as f64 + at as f64 / 1e6);
            let s = Array1::from_elem(n, status.unwrap_or_default());
            let mut sets = vec![("E", Values::from(&e)), ("F", Values::from(&f))];
            sets.extend(status.map(|_| ("status", Values::from(&s))));
            group.commit(&Rows::range(rows.clone()), &sets).expect("fits");
        }
        for outcome in group.finish() {
            outcome.expect("commit");
        }
    }
}

pub fn put(rows: Range<u64>, value: f64, status: Option<i64>) -> Put {
    Put { rows, value, status }
}

impl Scene {
    /// A table in which the first puts were acknowledged; then one writer makes the steps.
    pub fn of(shape: Shape, before: &[Put], steps: &[Step<'_>]) -> Self {
        Self::recorded(shape, before, None, steps, &vec![0; steps.len()], false)
    }

    /// The same, where another program has left values in a row before.
    pub fn after_another(shape: Shape, before: &[Put], row: u64, steps: &[Step<'_>]) -> Self {
        Self::recorded(shape, before, Some(row), steps, &vec![0; steps.len()], false)
    }

    /// The same, including the creation of the writer's file.
    pub fn with_opening(shape: Shape, before: &[Put], steps: &[Step<'_>]) -> Self {
        Self::recorded(shape, before, None, steps, &vec![0; steps.len()], true)
    }

    /// The same, with a new writer for each step.
    pub fn of_writers(shape: Shape, before: &[Put], steps: &[Step<'_>]) -> Self {
        Self::recorded(shape, before, None, steps, &(0..steps.len()).collect::<Vec<_>>(), false)
    }

    fn recorded(
        shape: Shape,
        before: &[Put],
        other: Option<u64>,
        steps: &[Step<'_>],
        writers: &[usize],
        opening: bool,
    ) -> Self {
        let make = |path: &Path| {
            let store = shape.store(path);
            if !before.is_empty() {
                shape.put(&mut store.writer("t").expect("writer"), before);
            }
            if let Some(row) = other {
                Shape::left_by_another(&store, row);
            }
            store
        };
        let others = if other.is_some() { Others::Values } else { Others::Nothing };
        Self::made(&make, others, steps, writers, opening)
    }

    /// The same for any store with a table `t` of direct columns.
    pub fn upon(make: &dyn Fn(&Path) -> Store, steps: &[Step<'_>]) -> Self {
        Self::made(make, Others::Nothing, steps, &vec![0; steps.len()], false)
    }

    fn made(
        make: &dyn Fn(&Path) -> Store,
        others: Others,
        steps: &[Step<'_>],
        writers: &[usize],
        opening: bool,
    ) -> Self {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        let store = make(&path);
        let memory = Memory::taken_from(path.parent().expect("folder"));
        let store = store.with_storage(Arc::new(memory.clone()));
        memory.record();
        let count = writers.iter().max().map_or(0, |most| most + 1);
        let mut open: Vec<Writer> = (0..count).map(|_| store.writer("t").expect("writer")).collect();
        if !opening {
            memory.record();
        }
        let mut reader = store.reader("t").expect("reader");
        let mut expected = Expected(Vec::new(), others);
        expected.add(0, rows_of(&mut reader, Hidden::Wrong, others).expect("reads"));
        for (k, (step, writer)) in steps.iter().zip(writers).enumerate() {
            step(&mut open[*writer]);
            memory.acknowledge(1 << k);
            expected.add(1 << k, rows_of(&mut reader, Hidden::Wrong, others).expect("reads"));
        }
        let mut recording = memory.recorded();
        recording.bury();
        Self { recording, expected }
    }

    /// The same scene, as if this one call had done nothing.
    pub fn without(&self, barrier: Barrier) -> Self {
        Self { recording: self.recording.without(barrier), expected: self.expected.clone() }
    }

    /// Puts every state on a disk, recovers it, and checks it.
    pub fn crashed(&self, sampled: u64) -> Visited {
        let bench = || Bench::new(&self.recording);
        visit(&self.recording, Sampling::of(sampled), bench, |bench, state| bench.check(state, &self.expected))
    }
}
