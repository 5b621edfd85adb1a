//! Stamps for columns of a table: its first ones, or further ones beside those that it has.

use super::cells::{read_stamps, write_pieces};
use super::change::Changing;
use crate::h5::{GuardSpec, MOST_COLUMNS, StampsSpec, TOO_MANY_COLUMNS};
use h5part_base::dataspace::{Rows, StampRows, Stamps, Table, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;

/// Rows whose stamps are copied at once, at most.
const BLOCK_ROWS: u64 = 1 << 16;

/// What is to be made.
pub(super) struct Stamping<'a> {
    table: &'a Table,
    spec: StampsSpec<'a>,
}

/// The place among the stamps of a row that the next column gets.
pub(super) fn first_place(table: &Table) -> usize {
    table.columns.iter().filter_map(|column| column.stamp).max().map_or(0, |place| place + 1)
}

/// The guards of a table, as they would be made.
pub(super) fn guards_of(table: &Table) -> Result<Vec<GuardSpec>, ErrorKind> {
    let guards = table.stamps.iter().flat_map(|stamps| &stamps.guards);
    guards.map(|guard| Ok(GuardSpec::of(guard, &table.columns)?)).collect()
}

impl<'a> Stamping<'a> {
    /// Stamps for a table whose own ones are dropped: `table` is that table without them.
    pub(super) fn anew(table: &'a Table, names: &[String], guards: Vec<GuardSpec>) -> Result<Self, ErrorKind> {
        let mut stamping = Self::new(table, names, None)?;
        stamping.spec.guards = guards;
        Ok(stamping)
    }

    /// Stamps for columns of these names, with a guard for them: one of them, or one that the table has already.
    pub(super) fn new(table: &'a Table, names: &[String], guard: Option<GuardSpec>) -> Result<Self, ErrorKind> {
        if table.stamps.is_some() {
            // Their places would be taken.
            table.refuse_lost()?;
        }
        let mut all = vec![String::new(); first_place(table)];
        for column in &table.columns {
            if let Some(name) = column.stamp.and_then(|place| all.get_mut(place)) {
                name.clone_from(&column.name);
            }
        }
        all.extend_from_slice(names);
        if all.len() > MOST_COLUMNS {
            let count = all.len();
            let text = format!("a table can have at most {MOST_COLUMNS} columns, not {count}: {TOO_MANY_COLUMNS}");
            return Err(ErrorKind::BadRequest(text));
        }
        let mut guards = guards_of(table)?;
        match guards.iter_mut().find(|there| guard.as_ref().is_some_and(|guard| guard.name == there.name)) {
            // It speaks of more columns from now on.
            Some(there) => there.covers.get_or_insert_default().extend_from_slice(names),
            None => guards.extend(guard),
        }
        Ok(Self { table, spec: StampsSpec { path: &table.path, rows: table.rows, names: all, guards } })
    }

    /// Bytes that they take at most.
    pub(super) fn bytes(&self) -> u64 {
        self.table.rows.saturating_mul(self.spec.names.len().next_power_of_two() as u64 * 8)
    }

    /// Makes them. Those of columns that had some are as they were, those of the others zero.
    pub(super) fn make(&self, site: &Changing<'_>) -> Result<Stamps, ErrorKind> {
        let Some(before) = &self.table.stamps else {
            let stamps = site.h5.add_stamps(&self.spec)?;
            // What the library made must lie in the file before stamps are written there.
            site.h5.flush()?;
            return Ok(stamps);
        };
        let stamps = site.h5.widen_stamps(self.table, &self.spec)?;
        site.h5.flush()?;
        if stamps.width > before.width {
            self.copy(site, before, &stamps)?;
        }
        Ok(stamps)
    }

    fn copy(&self, site: &Changing<'_>, before: &Stamps, now: &Stamps) -> Result<(), ErrorKind> {
        let (mut words, mut wide, mut plan) = (StampRows::default(), StampRows::default(), Vec::new());
        let block_rows = now.block_rows(BLOCK_ROWS);
        for first in (0..self.table.rows).step_by(to_usize(block_rows)) {
            let runs = Rows::range(first..(first + block_rows).min(self.table.rows)).runs()?;
            read_stamps(site.before.as_ref(), before, &runs, &mut words)?;
            wide.reset(now.all(), words.len());
            for (row, old) in wide.rows_mut().zip(words.rows()) {
                row[..before.width].copy_from_slice(old);
            }
            pieces(&now.layout, &runs, &mut plan);
            write_pieces(site.file, &plan, bytemuck::cast_slice(wide.words()))?;
        }
        Ok(())
    }
}
