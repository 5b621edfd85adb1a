//! Commits that share locks and syncs.

use crate::common::support::{Scratch, small_store};
use crate::store::changes::store_with_rows;
use h5part::ErrorKind;
use h5part_base::dataspace::Rows;
use h5part_engine::store::{CellState, Group, Store, Values};
use ndarray::{Array1, Array2};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

fn add(group: &mut Group<'_>, row: u64, value: f64) -> h5part::Result<()> {
    let e = Array1::from_elem(1, value);
    group.commit(&Rows::one(row), &[("E", Values::from(&e))])
}

fn energies(store: &Store) -> Vec<Option<f64>> {
    let block = store.reader("t").expect("reader").read("E", &Rows::range(0..10)).expect("read");
    let values = block.array::<f64>().expect("f64");
    block.mask().iter().zip(&values).map(|(&there, &value)| there.then_some(value)).collect()
}

#[test]
fn all_are_acknowledged_at_its_end() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let mut group = writer.group();
    assert!(group.is_empty());
    for row in [3, 1, 7] {
        add(&mut group, row, row as f64).expect("taken");
    }
    assert_eq!(group.len(), 3);
    assert_eq!(energies(&store), [None; 10], "nothing is made before");
    let answers = group.finish();
    assert_eq!(answers.len(), 3);
    for answer in answers {
        assert_eq!(answer.expect("acknowledged").rows, 1);
    }
    let there: Vec<_> = (0..10).map(|row| [1, 3, 7].contains(&row).then_some(f64::from(row))).collect();
    assert_eq!(energies(&store), there);
}

#[test]
fn a_group_that_is_dropped_writes_nothing() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let before = std::fs::read(store.path()).expect("read");
    let mut group = writer.group();
    add(&mut group, 3, 1.0).expect("taken");
    drop(group);
    assert!(std::fs::read(store.path()).expect("read") == before);
    add(&mut writer.group(), 4, 1.0).expect("taken");
    drop(writer);
    assert_eq!(energies(&store), [None; 10]);
}

#[test]
fn its_own_row_met_again_closes_it() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let mut group = writer.group();
    add(&mut group, 3, 1.0).expect("taken");
    add(&mut group, 4, 1.0).expect("taken");
    add(&mut group, 3, 2.0).expect("taken");
    assert_eq!(group.len(), 1, "the first two were made");
    assert_eq!(energies(&store)[3..5], [Some(1.0), Some(1.0)]);
    let e = Array1::from_elem(5, 3.0);
    group.commit(&Rows::list(&[0, 9, 2, 5, 3]), &[("E", Values::from(&e))]).expect("taken");
    let answers = group.finish();
    assert_eq!(answers.into_iter().map(|a| a.expect("acknowledged").rows).collect::<Vec<_>>(), [1, 1, 1, 5]);
    assert_eq!(energies(&store)[2..6], [Some(3.0), Some(3.0), Some(1.0), Some(3.0)]);
}

#[test]
fn a_commit_that_cannot_be_made_leaves_the_others_alone() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let mut group = writer.group();
    (2..6).for_each(|row| add(&mut group, row, 1.0).expect("taken"));
    group.finish().into_iter().for_each(|answer| assert!(answer.is_ok()));
    writer.pause();
    let file = hdf5::File::open_rw(store.path()).expect("opens for writing");
    file.dataset("t/E").expect("E").write_slice(&[7.5], hdf5::Hyperslab::from(4..5)).expect("write");
    drop(file);
    let mut group = writer.group();
    (2..6).for_each(|row| add(&mut group, row, 2.0).expect("taken"));
    let error = add(&mut group, 10, 2.0).expect_err("said at once");
    assert!(matches!(error.kind(), ErrorKind::RowOutOfRange { .. }), "{error}");
    let answers = group.finish();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    let error = answers.into_iter().nth(2).expect("third").expect_err("foreign");
    assert!(matches!(error.kind(), ErrorKind::ForeignChange { row: 4, .. }), "{error}");
    let mut reader = store.reader("t").expect("reader");
    let block = reader.read("E", &Rows::range(2..6)).expect("read");
    assert_eq!(block.states()[2], CellState::Changed);
    assert_eq!(block.array::<f64>().expect("f64").iter().filter(|&&v| v == 2.0).count(), 3);
    drop((writer, reader));
    let stock = hdf5::File::open(store.path()).expect("opens").dataset("t/E").expect("E").read_raw::<f64>();
    assert_eq!(stock.expect("read")[2..6], [2.0, 2.0, 7.5, 2.0]);
}

#[test]
fn over_library_columns_it_is_one_change() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 2);
    let generation = || {
        let file = hdf5::File::open(store.path()).expect("opens");
        file.attr("h5part_generation").expect("there").read_scalar::<u64>().expect("u64")
    };
    let before = generation();
    let mut writer = store.writer("g").expect("writer");
    let mut group = writer.group();
    for row in [1, 9, 6, 7] {
        let (z, s) = (Array2::from_elem((1, 100), row as f64), Array1::from_elem(1, 5i64));
        group.commit(&Rows::one(row), &[("z", Values::from(&z)), ("s", Values::from(&s))]).expect("taken");
    }
    assert!(group.finish().iter().all(Result::is_ok));
    drop(writer);
    assert_eq!(generation(), before + 1);
    let block = store.reader("g").expect("reader").read("z", &Rows::list(&[1, 6, 7, 9])).expect("read");
    assert_eq!(block.states(), [CellState::Committed; 4]);
    let z = block.array::<f64>().expect("f64");
    assert!([1.0, 6.0, 7.0, 9.0].iter().zip(z.outer_iter()).all(|(&row, cell)| cell.iter().all(|&v| v == row)));
}

/// A client sends fewer lines than fit into a group and waits for their answers: it gets them.
#[test]
fn a_stream_is_answered_in_order_and_without_waiting_for_full_groups() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut child = Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["update", store.path().to_str().expect("UTF-8"), "t", "--stream", "--group", "100"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("piped");
    let mut answers = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut sent = 0;
    let mut next = |expected: u64| {
        let line = answers.next().expect("an answer").expect("reads");
        let answer: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(answer["id"], expected, "{answer}");
        (answer["ok"] == true, answer["code"].as_u64())
    };
    for burst in [1, 3, 250, 2] {
        let first = sent;
        for id in first..first + burst {
            // Row 10 does not exist, and rows are repeated.
            let line = format!("{{\"rows\": {}, \"set\": {{\"E\": {id}.5}}, \"id\": {id}}}", id % 11);
            writeln!(input, "{line}").expect("write");
        }
        sent += burst;
        for id in first..sent {
            assert_eq!(next(id), if id % 11 == 10 { (false, Some(3)) } else { (true, None) });
        }
    }
    drop(input);
    assert_eq!(child.wait().expect("ends").code(), Some(1));
    let last = |row: u64| (0..sent).rev().find(|id| id % 11 == row).map(|id| id as f64 + 0.5);
    assert_eq!(energies(&store), (0..10).map(last).collect::<Vec<_>>());
}
