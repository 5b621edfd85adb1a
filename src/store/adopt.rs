//! Tables that others made get stamps.

use super::cells::{for_each_cell, is_fill, read_stamps, write_pieces};
use super::change::Changing;
use super::create::Progress;
use super::handle::{Store, normal};
use super::read::CellReader;
use super::stamp::{Seed, Stamp};
use super::stamping::{Stamping, first_place};
use super::view::View;
use crate::dataspace::{Column, Dtype, Guard, Rows, Runs, Stamps, pieces, refuse_reserved};
use crate::error::{At, ErrorKind, Result};
use crate::h5::{Attribute, GuardSpec, MOST_COLUMNS};
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
    /// The columns that get stamps; they may be further ones of a table that has stamps already. `None`: all, of a
    /// table that has none.
    pub columns: Option<Vec<String>>,
    /// Which cells count as committed.
    pub committed: Adopt,
    /// A guard column for these columns, and the text of its undefined value: one of them, or one that guards others
    /// already.
    pub guard: Option<(String, String)>,
    /// Text of the guard's value in complete rows. Default: the value of [`Adopt::Where`], if that is
    /// about the guard.
    pub guard_complete: Option<String>,
    /// Attributes to set on the table's group.
    pub attributes: Vec<(String, Attribute)>,
}

impl Store {
    /// Gives stamps to columns that another program made: those of a whole table, or further ones. Datasets stay as
    /// they are, with their chunks and filters; every value is read and summed, direct columns in parallel.
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
        let columns = how.columns.iter().flatten().map(String::as_str);
        let attributes = how.attributes.iter().map(|(name, _)| name.as_str());
        columns.chain(attributes).chain([table]).try_for_each(refuse_reserved)?;
        let alone = self.alone()?;
        let view = View::load(self.storage.as_ref(), &self.paths, table, Mode::Write)?;
        if view.table.stamps.is_some() && how.columns.is_none() {
            return Err(ErrorKind::Adopted(table.to_owned()));
        }
        let first = first_place(&view.table);
        let plan = Plan::new(&view, how, first)?;
        let names: Vec<String> = plan.columns.iter().map(|c| c.name.clone()).collect();
        let guard = how.guard.as_ref().map(|(name, undefined)| GuardSpec {
            name: name.clone(),
            undefined: undefined.clone(),
            complete: how.complete().map(str::to_owned),
            covers: Some(names.clone()),
        });
        let stamping = Stamping::new(&view.table, &names, guard)?;
        self.check_room(stamping.bytes(), view.table.rows)?;
        self.change_alone(alone, |site| {
            let uuid = site.h5.ensure_uuid()?;
            site.h5.set_attributes(table, &how.attributes)?;
            let stamps = stamping.make(site)?;
            let seeds = (0..names.len()).map(|k| Seed::new(&uuid, stamps.table, first + k)).collect();
            let cells = CellReader::new(self);
            Summing { site, view: &view, plan: &plan, stamps: &stamps, first, seeds, cells }.run(progress)
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
    fn new(view: &'a View, how: &Adoption, first: usize) -> Result<Self, ErrorKind> {
        let request = |text: String| Err(ErrorKind::BadRequest(text));
        let (columns, others): (Vec<&Column>, Vec<&Column>) = match &how.columns {
            None => view.table.columns.iter().partition(|c| c.dtype.is_ok()),
            Some(names) => (chosen(view, names)?, Vec::new()),
        };
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
        let without_stamps = others.into_iter().map(|c| c.name.clone()).collect();
        let plan = |guard| Self { columns: columns.clone(), without_stamps, rule, guard };
        let guard = match &how.guard {
            None => None,
            Some((name, undefined)) => {
                let (column, undefined) = element(view, name, undefined)?;
                let there = view.table.as_guard(column);
                let Some(place) = columns.iter().position(|c| c.name == column.name).map(|k| first + k) else {
                    return match there {
                        Some(guard) if guard.undefined == undefined => Ok(plan(None)),
                        Some(_) => request(format!("the guard '{name}' has another undefined value")),
                        None => request(format!("the guard '{name}' is none of the columns that get stamps")),
                    };
                };
                let complete = how.complete().map(|text| element(view, name, text)).transpose()?;
                let complete = complete.map(|(_, bytes)| bytes);
                if complete.as_ref() == Some(&undefined) {
                    return request("the guard's undefined value cannot be that of complete rows".to_owned());
                }
                Some(Guard { place, covers: 0, undefined, complete })
            }
        };
        Ok(plan(guard))
    }
}

/// Columns by name, which have no stamps yet.
fn chosen<'a>(view: &'a View, names: &[String]) -> Result<Vec<&'a Column>, ErrorKind> {
    let mut columns: Vec<&Column> = Vec::new();
    for name in names {
        let column = view.table.column(name)?;
        column.dtype()?;
        if column.stamp.is_some() {
            return Err(ErrorKind::Adopted(format!("{}/{name}", view.table.path)));
        }
        if columns.iter().any(|other| other.name == column.name) {
            return Err(ErrorKind::BadRequest(format!("column '{name}' is named twice")));
        }
        columns.push(column);
    }
    Ok(columns)
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
    /// Place of the first of the columns.
    first: usize,
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
        // Those of columns that had stamps before stay.
        let mut words = Vec::new();
        read_stamps(self.site.file, self.stamps, runs, &mut words)?;
        let mut counts = vec![true; words.len() / width];
        if let Rule::Where { column, value } = &self.plan.rule {
            self.each_cell(column, runs, |k, _, bytes| counts[k] = bytes == value)?;
        }
        let mut committed = 0;
        for (seed, (place, column)) in self.seeds.iter().zip((self.first..).zip(&self.plan.columns)) {
            self.each_cell(column, runs, |k, row, bytes| {
                let undefined = self.plan.guard.as_ref().filter(|g| g.place == place).map(|g| g.undefined.as_slice());
                let empty = undefined.map_or_else(|| is_fill(bytes, &column.fill), |undefined| undefined == bytes);
                let counts = match self.plan.rule {
                    Rule::All => true,
                    Rule::NonFill => !empty,
                    // What a guard says of a row is a value, also where it is not "complete".
                    Rule::Where { .. } => counts[k] || (undefined.is_some() && !empty),
                };
                let seal = |stamp| seed.seal(stamp, row, bytes);
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
