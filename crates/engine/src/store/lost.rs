//! Accepts that another program removed parts of a table.

use super::cells::{read_stamps, write_pieces};
use super::change::Changing;
use super::handle::{Store, trim_slashes};
use super::table_view::TableView;
use crate::h5::{GuardSpec, StampsSpec};
use h5part_base::dataspace::{Loss, Rows, StampRows, Stamps, Table, pieces};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::num::to_usize;

/// Most rows whose stamps are cleared at once.
const BLOCK_ROWS: u64 = 1 << 16;

impl Store {
    /// Accepts that stamped columns of a table, or their last rows, are gone. It drops the stamps of what another
    /// program has deleted, renamed, shortened or retyped. Shortened columns get their rows back, "not there". If all
    /// columns were shortened, the table gets the rows of the longest one. A dataset that now has the name of a dropped
    /// column, or that a dropped column became, is kept without stamps. Returns the names of the affected columns.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see [`Store::change`]. Writers
    /// of the table must be opened again.
    ///
    /// # Errors
    /// [`ErrorKind::Unstamped`], [`ErrorKind::NotFound`], and those of [`Store::change`].
    pub fn accept_loss(&self, table: &str) -> Result<Vec<String>> {
        self.try_accept_loss(trim_slashes(table)).at("drop lost columns of", &self.paths.file)
    }

    fn try_accept_loss(&self, table: &str) -> Result<Vec<String>, ErrorKind> {
        self.change_beside_readers(|exclusive| {
            let view = TableView::load_inside(self, table, exclusive.gate.file())?;
            let table = &view.table;
            let stamps = table.expect_stamps()?;
            if !table.lost.is_empty() {
                self.change_exclusively(exclusive, |site| drop_lost(site, table, stamps))?;
            }
            Ok(table.lost.iter().map(|lost| lost.name.clone()).collect())
        })
    }
}

fn drop_lost(site: &Changing<'_>, table: &Table, stamps: &Stamps) -> Result<(), ErrorKind> {
    let shortened = table.lost.iter().filter_map(|lost| match lost.loss {
        Loss::Shortened { rows } => Some((lost.name.clone(), rows)),
        _ => None,
    });
    let (short, lengths): (Vec<String>, Vec<u64>) = shortened.unzip();
    // If any column still has all rows, so does the table.
    let is_whole = table.columns.iter().any(|column| column.stamp.is_some());
    let left = lengths.iter().copied().max().filter(|_| !is_whole);
    let rows = left.unwrap_or(stamps.layout.rows);
    let fixed = site.h5.set_lengths(table, &short, rows)?;
    let stays = |name: &String| short.contains(name) && !fixed.contains(name);
    let most = table.columns.iter().filter_map(|column| column.stamp).chain(table.lost.iter().map(|lost| lost.place));
    let mut names = vec![String::new(); most.max().map_or(0, |place| place + 1)];
    let kept = table.lost.iter().filter(|lost| stays(&lost.name)).map(|lost| (lost.place, &lost.name));
    let there = table.columns.iter().filter_map(|column| Some((column.stamp?, &column.name)));
    for (place, name) in there.chain(kept) {
        names[place].clone_from(name);
    }
    let guards = stamps.guards.iter().map(|guard| GuardSpec::of(guard, &table.columns));
    let guards = guards.collect::<Result<Vec<_>, _>>()?;
    let spec = StampsSpec { path: &table.path, rows, names, guards };
    let now = site.h5.name_stamps(stamps.table, &spec)?;
    site.h5.flush()?;
    let gone = table.lost.iter().map(|lost| (lost.place, if stays(&lost.name) { lost.first_row() } else { 0 }));
    clear(site, &now, &gone.collect::<Vec<_>>())
}

/// Sets stamps to zero: for each place those from a row on.
fn clear(site: &Changing<'_>, stamps: &Stamps, gone: &[(usize, u64)]) -> Result<(), ErrorKind> {
    let (mut words, mut plan) = (StampRows::default(), Vec::new());
    let rows = stamps.layout.rows;
    let block_rows = stamps.block_rows(BLOCK_ROWS);
    for first in (0..rows).step_by(to_usize(block_rows)) {
        let block = first..(first + block_rows).min(rows);
        let runs = Rows::range(block.clone()).runs()?;
        read_stamps(site.file, stamps, &runs, &mut words)?;
        for (row, words) in block.zip(words.rows_mut()) {
            for (place, _) in gone.iter().filter(|(_, from)| row >= *from) {
                words[*place] = 0;
            }
        }
        pieces(&stamps.layout, &runs, &mut plan);
        write_pieces(site.file, &plan, bytemuck::cast_slice(words.words()))?;
    }
    Ok(())
}
