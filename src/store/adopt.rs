//! Tables that others made get stamps.

use super::cells::{for_each_cell, is_fill, write_pieces};
use super::change::Changing;
use super::create::Progress;
use super::handle::{Store, normal};
use super::read::CellReader;
use super::stamp::{Seed, Stamp};
use super::view::View;
use crate::dataspace::{Column, Dtype, Guard, Rows, Runs, Stamps, pieces};
use crate::error::{At, ErrorKind, Result};
use crate::h5::{Attribute, GuardSpec, MOST_COLUMNS, StampsSpec};
use crate::storage::{Mode, StorageFile};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cells are summed in blocks of about this, in bytes of values.
const BLOCK_BYTES: u64 = 4 << 20;

/// Which cells of an adopted table count as committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Adopt {
    /// All.
    All,
    /// Those that hold anything but fill; the others are not there.
    #[default]
    NonFill,
    /// Those of rows in which a column holds a value; what the others hold is of no value, but for what the guard
    /// column says of them.
    Where {
        /// The column, with one value a row.
        column: String,
        /// Text of the value.
        value: String,
    },
}

/// What came of an adoption.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Adopted {
    /// Number of rows.
    pub rows: u64,
    /// Columns that have stamps now.
    pub columns: Vec<String>,
    /// Columns whose type is not supported: carried along untouched.
    pub without_stamps: Vec<String>,
    /// Cells that count as committed.
    pub committed: u64,
    /// Bytes of values that were read.
    pub bytes: u64,
}

/// How a table is adopted.
#[derive(Clone, Debug, Default)]
pub struct Adoption {
    /// Which cells count as committed.
    pub committed: Adopt,
    /// A guard column, and the text of its undefined value.
    pub guard: Option<(String, String)>,
    /// Text of the guard's value in complete rows. Default: the value of [`Adopt::Where`], if that is
    /// about the guard.
    pub guard_complete: Option<String>,
    /// Attributes to set on the table's group.
    pub attributes: Vec<(String, Attribute)>,
}

impl Store {
    /// Gives stamps to a table that another program made. Its datasets stay as they are, with their
    /// chunks and filters; every value is read and summed, direct columns in parallel.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see
    /// [`Store::change`].
    ///
    /// # Errors
    /// [`ErrorKind::Adopted`], [`ErrorKind::NoSuchTable`], [`ErrorKind::NoSuchColumn`],
    /// [`ErrorKind::BadRequest`] for a guard or a value that does not fit, and those of
    /// [`Store::change`].
    pub fn adopt(&self, table: &str, how: &Adoption, progress: Progress<'_>) -> Result<Adopted> {
        self.try_adopt(normal(table), how, progress).at("adopt a table of", &self.paths.file)
    }

    fn try_adopt(&self, table: &str, how: &Adoption, progress: Progress<'_>) -> Result<Adopted, ErrorKind> {
        let alone = self.alone()?;
        let view = View::load(self.storage.as_ref(), &self.paths, table, Mode::Write)?;
        if view.table.stamps.is_some() {
            return Err(ErrorKind::Adopted(table.to_owned()));
        }
        let plan = Plan::new(&view, how)?;
        let width = plan.columns.len().next_power_of_two() as u64;
        self.check_space(view.table.rows.saturating_mul(width * 8))?;
        let spec = StampsSpec {
            path: table,
            rows: view.table.rows,
            names: plan.columns.iter().map(|c| c.name.as_str()).collect(),
            guard: how.guard.as_ref().map(|(name, undefined)| GuardSpec {
                name,
                undefined: undefined.clone(),
                complete: how.complete(),
            }),
        };
        self.change_alone(alone, |site| {
            let uuid = site.h5.ensure_uuid()?;
            let stamps = site.h5.add_stamps(&spec)?;
            site.h5.set_attributes(table, &how.attributes)?;
            // What the library made must lie in the file before stamps are written there.
            site.h5.flush()?;
            let seeds = (0..plan.columns.len()).map(|place| Seed::new(&uuid, stamps.table, place)).collect();
            let cells = CellReader::new(self);
            Summing { site, view: &view, plan: &plan, stamps: &stamps, seeds, cells }.run(progress)
        })
    }
}

impl Adoption {
    fn complete(&self) -> Option<&str> {
        let (guard, _) = self.guard.as_ref()?;
        let ruled = match &self.committed {
            Adopt::Where { column, value } if column == guard => Some(value.as_str()),
            _ => None,
        };
        self.guard_complete.as_deref().or(ruled)
    }
}

/// What an adoption comes down to.
struct Plan<'a> {
    columns: Vec<&'a Column>,
    without_stamps: Vec<String>,
    rule: Rule<'a>,
    guard: Option<Guard>,
}

/// Which cells count.
enum Rule<'a> {
    All,
    NonFill,
    Where { column: &'a Column, value: Vec<u8> },
}

impl<'a> Plan<'a> {
    fn new(view: &'a View, how: &Adoption) -> Result<Self, ErrorKind> {
        let (columns, others): (Vec<&Column>, Vec<&Column>) = view.table.columns.iter().partition(|c| c.dtype.is_ok());
        let request = |text: String| Err(ErrorKind::BadRequest(text));
        if columns.is_empty() || columns.len() > MOST_COLUMNS {
            return request(format!("a table has 1 to {MOST_COLUMNS} columns of numbers, this one {}", columns.len()));
        }
        let rule = match &how.committed {
            Adopt::All => Rule::All,
            Adopt::NonFill => Rule::NonFill,
            Adopt::Where { column, value } => {
                let (column, value) = element(view, column, value)?;
                Rule::Where { column, value }
            }
        };
        let guard = match &how.guard {
            None => None,
            Some((name, undefined)) => {
                let (column, undefined) = element(view, name, undefined)?;
                let place = columns.iter().position(|c| c.name == column.name).unwrap_or(usize::MAX);
                let complete = how.complete().map(|text| element(view, name, text)).transpose()?;
                let complete = complete.map(|(_, bytes)| bytes);
                if complete.as_ref() == Some(&undefined) {
                    return request("the guard's undefined value cannot be that of complete rows".to_owned());
                }
                Some(Guard { place, undefined, complete })
            }
        };
        Ok(Self { columns, without_stamps: others.into_iter().map(|c| c.name.clone()).collect(), rule, guard })
    }
}

/// A column with one value a row, and the bytes of such a value.
fn element<'a>(view: &'a View, name: &str, value: &str) -> Result<(&'a Column, Vec<u8>), ErrorKind> {
    let column = view.table.column(name)?;
    let dtype: Dtype = column.dtype()?;
    let bytes = dtype.parse_element(value).filter(|_| column.shape.is_empty());
    let bad = || ErrorKind::BadRequest(format!("column '{name}' does not hold values like '{value}', one a row"));
    Ok((column, bytes.ok_or_else(bad)?))
}

struct Summing<'a> {
    site: &'a Changing<'a>,
    view: &'a View,
    plan: &'a Plan<'a>,
    stamps: &'a Stamps,
    seeds: Vec<Seed>,
    cells: CellReader,
}

impl Summing<'_> {
    fn run(&self, progress: Progress<'_>) -> Result<Adopted, ErrorKind> {
        let rows = self.view.table.rows;
        let row_bytes: u64 = self.plan.columns.iter().map(|c| c.cell_bytes()).sum();
        let block_rows = (BLOCK_BYTES / row_bytes.max(1)).max(1);
        let (done, committed) = (AtomicU64::new(0), AtomicU64::new(0));
        (0..rows.div_ceil(block_rows)).into_par_iter().try_for_each(|block| {
            let first = block * block_rows;
            let here = Rows::range(first..(first + block_rows).min(rows)).runs()?;
            committed.fetch_add(self.block(&here)?, Ordering::Relaxed);
            let so_far = done.fetch_add(here.len(), Ordering::Relaxed) + here.len();
            progress(so_far * row_bytes, rows * row_bytes);
            Ok::<_, ErrorKind>(())
        })?;
        Ok(Adopted {
            rows,
            columns: self.plan.columns.iter().map(|c| c.name.clone()).collect(),
            without_stamps: self.plan.without_stamps.clone(),
            committed: committed.into_inner(),
            bytes: rows * row_bytes,
        })
    }

    /// Stamps a block of rows; returns how many of its cells count as committed.
    fn block(&self, runs: &Runs) -> Result<u64, ErrorKind> {
        let width = self.stamps.width;
        let mut words = vec![0u64; usize::try_from(runs.len()).unwrap_or(usize::MAX) * width];
        let mut counts = vec![true; words.len() / width];
        if let Rule::Where { column, value } = &self.plan.rule {
            self.each_cell(column, runs, |k, _, bytes| counts[k] = bytes == value)?;
        }
        let mut committed = 0;
        for (place, column) in self.plan.columns.iter().enumerate() {
            self.each_cell(column, runs, |k, row, bytes| {
                let undefined = self.plan.guard.as_ref().filter(|g| g.place == place).map(|g| g.undefined.as_slice());
                let empty = undefined.map_or_else(|| is_fill(bytes, &column.fill), |undefined| undefined == bytes);
                let counts = match self.plan.rule {
                    Rule::All => true,
                    Rule::NonFill => !empty,
                    // What a guard says of a row is a value, also where it is not "complete".
                    Rule::Where { .. } => counts[k] || (undefined.is_some() && !empty),
                };
                let seal = |stamp| self.seeds[place].seal(stamp, row, bytes);
                let stamp = match (counts, empty) {
                    (true, _) => seal(Stamp::committed(1).with_durability(true)),
                    (false, true) => Stamp::default(),
                    (false, false) => seal(Stamp::vacant()),
                };
                committed += u64::from(counts);
                words[k * width + place] = stamp.0;
            })?;
        }
        let mut plan = Vec::new();
        pieces(&self.stamps.layout, &runs.in_row_order(), &mut plan);
        write_pieces(self.site.file, &plan, bytemuck::cast_slice(&words))?;
        Ok(committed)
    }

    /// Calls `look(position, row, bytes)` for every cell.
    fn each_cell(
        &self,
        column: &Column,
        runs: &Runs,
        mut look: impl FnMut(usize, u64, &[u8]),
    ) -> Result<(), ErrorKind> {
        let file: &dyn StorageFile = self.site.before.as_ref();
        if let Ok(layout) = &column.layout {
            return for_each_cell(file, layout, runs, &mut Vec::new(), |k, row, bytes| {
                look(k, row, bytes);
                Ok(())
            });
        }
        let bytes = self.cells.read_inside(self.view, column, runs)?;
        let cell = usize::try_from(column.cell_bytes()).unwrap_or(usize::MAX).max(1);
        for (k, ((row, _), bytes)) in runs.iter().zip(bytes.chunks_exact(cell)).enumerate() {
            look(k, row, bytes);
        }
        Ok(())
    }
}
