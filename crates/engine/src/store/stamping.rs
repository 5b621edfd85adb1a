//! Makes stamps for columns of a table: the first ones of the table, or more beside existing ones.

use super::cells::{read_stamps, write_pieces};
use super::change::Changing;
use crate::h5::{GuardSpec, MOST_COLUMNS, StampsSpec, TOO_MANY_COLUMNS};
use h5part_base::dataspace::{Rows, StampRows, Stamps, Table, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;

/// Most rows whose stamps are copied at once.
const BLOCK_ROWS: u64 = 1 << 16;

/// The stamps to make.
pub(super) struct Stamping<'a> {
    table: &'a Table,
    spec: StampsSpec<'a>,
}

/// The place among the stamps of a row that the next column gets.
pub(super) fn first_place(table: &Table) -> usize {
    table.columns.iter().filter_map(|column| column.stamp).max().map_or(0, |place| place + 1)
}

/// Specifications of the guards of a table.
pub(super) fn guards_of(table: &Table) -> Result<Vec<GuardSpec>, ErrorKind> {
    let guards = table.stamps.iter().flat_map(|stamps| &stamps.guards);
    guards.map(|guard| Ok(GuardSpec::of(guard, &table.columns)?)).collect()
}

impl<'a> Stamping<'a> {
    /// Stamps for a table whose own are dropped. `table` is that table without them.
    pub(super) fn anew(table: &'a Table, names: &[String], guards: Vec<GuardSpec>) -> Result<Self, ErrorKind> {
        let mut stamping = Self::new(table, names, None)?;
        stamping.spec.guards = guards;
        Ok(stamping)
    }

    /// Stamps for columns of these names, with a guard for them: one of them, or one that the table already has.
    pub(super) fn new(table: &'a Table, names: &[String], guard: Option<GuardSpec>) -> Result<Self, ErrorKind> {
        if table.stamps.is_some() {
            // The places of lost columns would be taken.
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
            // The guard covers these columns, too, from now on.
            Some(there) => there.covers.get_or_insert_default().extend_from_slice(names),
            None => guards.extend(guard),
        }
        Ok(Self { table, spec: StampsSpec { path: &table.path, rows: table.rows, names: all, guards } })
    }

    /// Most bytes that they can take.
    pub(super) fn bytes(&self) -> u64 {
        self.table.rows.saturating_mul(self.spec.names.len().next_power_of_two() as u64 * 8)
    }

    /// Makes the stamps. Columns that had stamps keep them; the others get zero.
    pub(super) fn make(&self, site: &Changing<'_>) -> Result<Stamps, ErrorKind> {
        let Some(before) = &self.table.stamps else {
            let stamps = site.h5.add_stamps(&self.spec)?;
            // What the library made must be in the file before stamps are written there.
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
