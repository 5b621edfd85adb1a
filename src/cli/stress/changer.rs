//! A process that repeatedly changes the structure of the file, and commits to compressed columns.

use super::board::{Board, Score, Word};
use super::job::StressRun;
use super::turns::{Turns, now_ns};
use h5part::{ErrorKind, Item, Result};
use h5part_base::dataspace::{ColumnSpec, Dtype};
use h5part_engine::h5::{Attribute, NewTable};
use h5part_engine::store::Store;
use std::sync::atomic::Ordering;

/// Rows added to a table at once.
const GROWTH: u64 = 25;

/// Works until the parent says stop. Returns when it ended.
pub fn run(job: &StressRun, all: &Board, number: u64, sequence: u64, ready: fn() -> Result<u64>) -> Result<u64> {
    let library = job.library();
    let board = Board::open(&library, 0)?;
    let store = Store::open(job.file())?;
    let mut writer = store.writer(&library.table)?;
    let mut turns = Turns::new(&library, number, sequence, &board);
    let mut end_ns = ready()?;
    for step in sequence.. {
        if all.is_stopped() {
            break;
        }
        let changer = Changer { store: &store, board: &board, number };
        match step % 8 {
            0 => changer.add_table()?,
            2 => changer.set_attribute(step)?,
            4 => changer.extend()?,
            6 => drop(store.recover()?),
            _ => {
                if let Some(turn) = turns.next(0) {
                    let begun = now_ns();
                    writer.commit(&turn.rows, &turn.batch.sets())?;
                    turn.acknowledge(&board, number, begun, now_ns());
                }
            }
        }
        all.word_of_all(Word::Changes).fetch_add(1, Ordering::Relaxed);
        end_ns = now_ns();
    }
    Ok(end_ns)
}

struct Changer<'a> {
    store: &'a Store,
    board: &'a Board,
    number: u64,
}

impl Changer<'_> {
    fn add_table(&self) -> Result<()> {
        let made = self.board.score(self.number, Score::Tables);
        let table = added(self.number, made.load(Ordering::Acquire));
        match self.store.create(&NewTable::new(&table, 10, vec![ColumnSpec::new("x", Dtype::F64, &[])]), &|_, _| ()) {
            // An earlier life created it, and was killed before it could report this.
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists(Item::Table(_))) => {}
            other => other?,
        }
        made.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn set_attribute(&self, value: u64) -> Result<()> {
        let number = i64::try_from(value).unwrap_or(i64::MAX);
        self.store.set_attributes(&grows(self.number), &[("sequence".to_owned(), Attribute::Int(number))])?;
        self.board.score(self.number, Score::Attribute).store(value, Ordering::Release);
        Ok(())
    }

    fn extend(&self) -> Result<()> {
        let table = grows(self.number);
        let rows = self.store.reader(&table)?.table().rows + GROWTH;
        self.store.extend(&table, rows)?;
        self.board.score(self.number, Score::Rows).store(rows, Ordering::Release);
        Ok(())
    }
}

/// Path of the growing table of a changer.
pub fn grows(changer: u64) -> String {
    format!("grows/{changer}")
}

fn added(changer: u64, k: u64) -> String {
    format!("added/{changer}-{k}")
}

/// Counts the acknowledged structural changes that are missing after the run.
pub fn missing(job: &StressRun, store: &Store) -> Result<u64> {
    let board = Board::open(&job.library(), 0)?;
    let mut missing = 0;
    for changer in 0..job.changers {
        let score = |score| board.score(changer, score).load(Ordering::Acquire);
        for k in 0..score(Score::Tables) {
            let there =
                store.reader(&added(changer, k)).is_ok_and(|r| r.table().rows == 10 && r.table().stamps.is_some());
            missing += u64::from(!there);
        }
        missing += u64::from(store.reader(&grows(changer))?.table().rows < score(Score::Rows));
        let sequence = store.attribute(&grows(changer), "sequence")?;
        let sequence = match sequence {
            Some(Attribute::Int(value)) => u64::try_from(value).unwrap_or(0),
            _ => 0,
        };
        missing += u64::from(sequence < score(Score::Attribute));
    }
    Ok(missing)
}
