//! Decides which tables are merged by rows, and whether they fit together. Apart from `look`, it does no I/O.

use super::MergeOptions;
use super::error::ErrorKind as MergeErrorKind;
use crate::h5::MOST_COLUMNS;
use crate::store::{Known, Store};
use h5part_base::dataspace::{Column, Loss, OUTSIDE, Table, shape_text};
use h5part_base::error::{ErrorKind, Item, Kind, Result};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The tables of a file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Position among the inputs. `None`: the file that is merged into.
    pub(super) input: Option<usize>,
    pub(super) known: Known,
}

/// What is merged: the files, their tables, and the tables that are merged by rows.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) out: &'a Store,
    pub(super) inputs: &'a [Store],
    pub(super) found: &'a [Found],
    pub(super) tables: &'a [Joined],
    pub(super) options: &'a MergeOptions,
}

impl<'a> Plan<'a> {
    /// What was found in an input.
    pub(super) fn found_in(self, input: usize) -> Option<&'a Found> {
        // They are sorted by input: see `look`.
        let k = self.found.binary_search_by_key(&Some(input), |found| found.input).ok()?;
        self.found.get(k)
    }
}

/// A table that is merged by rows.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) path: String,
    /// Names of the columns, in the order of the first file with the table.
    pub(super) columns: Vec<String>,
    /// Columns that only the library reads.
    pub(super) others: Vec<Other>,
    /// Number of rows of the longest one.
    pub(super) rows: u64,
    pub(super) row_bytes: u64,
    /// Whether the file that is merged into already has it.
    pub(super) is_there: bool,
    /// The inputs that have it.
    pub(super) sources: Vec<InputTable>,
}

/// A column whose rows only the library reads: its type is unknown to h5part, or it has no stamps while others have.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) name: String,
    /// Why it is never written, if so.
    pub(super) frozen: Option<String>,
    /// Number of files that have it.
    pub(super) holders: usize,
    /// Rows of the first of these files.
    pub(super) rows: u64,
}

/// A table of an input.
#[derive(Debug)]
pub(super) struct InputTable {
    /// Position among the inputs.
    pub(super) input: usize,
    pub(super) rows: u64,
    pub(super) stamped: bool,
    /// The row of the merged table that its first row becomes.
    pub(super) offset: u64,
    /// Positions of the columns of which it has all rows.
    pub(super) whole: Vec<usize>,
    /// Positions of the columns that another program has shortened, each with its remaining rows.
    pub(super) short: Vec<(usize, u64)>,
}

impl InputTable {
    /// The rows of a block that it has, numbered as in the merged table.
    pub(super) fn within(&self, block: &Range<u64>) -> Range<u64> {
        let start = self.offset.clamp(block.start, block.end);
        start..(self.offset + self.rows).clamp(start, block.end)
    }

    /// Converts rows of the merged table to its own.
    pub(super) fn rows_of(&self, merged: &Range<u64>) -> Range<u64> {
        merged.start - self.offset..merged.end - self.offset
    }
}

impl Joined {
    /// Bytes of values to read.
    pub(super) fn bytes(&self) -> u64 {
        self.sources.iter().map(|source| source.rows.saturating_mul(self.row_bytes)).sum()
    }

    /// Counts cells of the inputs that a living writer is writing. What a dead writer left in rows without a value is
    /// not counted.
    pub(super) fn being_written(&self, inputs: &[Store]) -> Result<u64> {
        let mut cells = 0;
        for source in self.sources.iter().filter(|source| source.stamped) {
            let status = inputs[source.input].status(&self.path, 1)?;
            cells += status.columns.iter().map(|column| column.writing).sum::<u64>();
        }
        Ok(cells)
    }
}

/// Reads the tables of all files. A file to merge into that does not exist has none.
pub(super) fn look(out: &Store, inputs: &[Store]) -> Result<Vec<Found>> {
    let tables = |store: &Store, input| -> Result<Found> {
        Ok(Found { path: store.path().to_owned(), input, known: store.known()? })
    };
    let mut found = Vec::new();
    if out.path().exists() {
        found.push(tables(out, None)?);
    }
    for (k, input) in inputs.iter().enumerate() {
        found.push(tables(input, Some(k))?);
    }
    Ok(found)
}

/// Plans the tables that are merged by rows: those with stamps in any of the files, and all tables of files without any
/// stamps. Tables with more columns than can have stamps are left out; they are copied like other objects.
pub(super) fn plan(files: &[Found], options: &MergeOptions) -> Result<Vec<Joined>> {
    let mut paths = BTreeSet::new();
    for file in files {
        let plain = file.known.tables.values().all(|table| table.stamps.is_none());
        let counted =
            file.known.tables.values().filter(|table| (plain && file.input.is_some()) || table.stamps.is_some());
        let fits = |table: &&Table| {
            let columns = columns(table).len();
            columns > 0 && (columns <= MOST_COLUMNS || table.stamps.is_some())
        };
        paths.extend(counted.filter(fits).map(|table| table.path.as_str()));
    }
    if let Some(only) = &options.tables {
        let inputs = || files.iter().filter(|file| file.input.is_some());
        if let Some(table) = only.iter().find(|table| inputs().all(|file| !file.known.tables.contains_key(*table))) {
            let known: BTreeSet<String> = inputs().flat_map(|file| file.known.tables.keys().cloned()).collect();
            let (table, known) = (table.clone(), known.into_iter().collect());
            let path = inputs().next().map_or_else(PathBuf::new, |file| file.path.clone());
            return Err(ErrorKind::NotFound { what: Item::Table(table), known }.at("merge", path));
        }
        paths.retain(|path| only.iter().any(|table| table == path));
    }
    let joined = paths.into_iter().map(|path| join(path, files, options)).collect::<Result<Vec<_>>>()?;
    Ok(joined.into_iter().filter(|joined| !joined.sources.is_empty()).collect())
}

/// Whether a column is merged by cells. It is if it has stamps; in a table without stamps, if its type is known and its
/// values are in the file.
fn is_merged(table: &Table, column: &Column) -> bool {
    let is_here = column.layout.as_ref().err().is_none_or(|reason| reason != OUTSIDE);
    let is_known = column.dtype.is_ok() && column.frozen.is_none();
    is_known && if table.stamps.is_none() { is_here } else { column.stamp.is_some() }
}

fn columns(table: &Table) -> Vec<&Column> {
    table.columns.iter().filter(|column| is_merged(table, column)).collect()
}

/// The columns of a table whose rows only the library reads.
fn others(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| !is_merged(table, column))
}

fn join(path: &str, files: &[Found], options: &MergeOptions) -> Result<Joined> {
    let having: Vec<(&Found, &Table)> =
        files.iter().filter_map(|file| Some((file, file.known.tables.get(path)?))).collect();
    let mut joined = Joined {
        path: path.to_owned(),
        columns: Vec::new(),
        others: Vec::new(),
        rows: 0,
        row_bytes: 0,
        is_there: false,
        sources: Vec::new(),
    };
    for (k, (file, table)) in having.iter().enumerate() {
        let (first, reference) = having[0];
        if k > 0 {
            check_columns(reference, table, &first.path).map_err(|kind| kind.at("merge", &file.path))?;
        }
        for column in columns(table) {
            // Earlier files may have lost it.
            if !joined.columns.contains(&column.name) {
                joined.columns.push(column.name.clone());
                joined.row_bytes += cell_bytes(column);
            }
        }
        joined.add_others(table);
        match file.input {
            None => {
                table.refuse_lost().map_err(|kind| kind.at("merge into", &file.path))?;
                joined.is_there = true;
                joined.rows = table.rows;
            }
            Some(input) => joined.add_source(table, input, options.concat),
        }
    }
    joined.check(&having, options.concat)?;
    Ok(joined)
}

impl Joined {
    fn add_source(&mut self, table: &Table, input: usize, concat: bool) {
        let (mut whole, mut short) = (Vec::new(), Vec::new());
        let here: HashSet<&str> = columns(table).iter().map(|column| column.name.as_str()).collect();
        for (position, name) in self.columns.iter().enumerate() {
            let lost = table.lost.iter().find(|lost| lost.name == *name).map(|lost| &lost.loss);
            match lost {
                Some(Loss::Shortened { rows }) => short.push((position, *rows)),
                None if here.contains(name.as_str()) => whole.push(position),
                _ => {}
            }
        }
        let offset = if concat { self.rows } else { 0 };
        self.rows = self.rows.max(offset + table.rows);
        let stamped = table.stamps.is_some();
        self.sources.push(InputTable { input, rows: table.rows, stamped, offset, whole, short });
    }

    fn add_others(&mut self, table: &Table) {
        for column in others(table) {
            if let Some(other) = self.others.iter_mut().find(|other| other.name == column.name) {
                other.holders += 1;
                other.frozen = other.frozen.take().or_else(|| frozen(column));
            } else {
                let (name, frozen) = (column.name.clone(), frozen(column));
                self.others.push(Other { name, frozen, holders: 1, rows: table.rows });
            }
        }
    }

    /// Checks that the merged table can be created.
    fn check(&self, having: &[(&Found, &Table)], concat: bool) -> Result<()> {
        let Some((file, _)) = having.first() else { return Ok(()) };
        if self.columns.len() > MOST_COLUMNS {
            let (path, count) = (&self.path, self.columns.len());
            let text = format!("table '{path}' has {count} columns, and h5part stamps {MOST_COLUMNS} at most");
            return Err(ErrorKind::BadRequest(text).at("merge", &file.path));
        }
        if !concat || having.len() < 2 {
            return Ok(());
        }
        for other in &self.others {
            let refuse = |why: &str| MergeErrorKind::NotMergeable {
                table: self.path.clone(),
                column: other.name.clone(),
                why: why.to_owned(),
            };
            if let Some(why) = &other.frozen {
                return Err(refuse(why).at("merge", &file.path));
            }
            if let Some((lacking, _)) = having.iter().find(|(_, table)| others(table).all(|c| c.name != other.name)) {
                return Err(refuse("this file does not have it").at("merge", &lacking.path));
            }
        }
        Ok(())
    }
}

/// Why no row of a column is written, if so.
fn frozen(column: &Column) -> Option<String> {
    let outside = column.layout.as_ref().err().filter(|reason| *reason == OUTSIDE);
    column.frozen.clone().or_else(|| outside.map(|_| "its values are in other files".to_owned()))
}

fn cell_bytes(column: &Column) -> u64 {
    column.dtype.clone().map_or(0, h5part_base::dataspace::Dtype::size) * column.shape.iter().product::<u64>()
}

/// Checks that a table has the columns of another one, in any order.
fn check_columns(reference: &Table, table: &Table, other: &Path) -> Result<(), MergeErrorKind> {
    let differ =
        |how: String| Err(MergeErrorKind::OtherColumns { table: table.path.clone(), how, other: other.to_owned() });
    let known: HashMap<&str, &Column> = reference.columns.iter().map(|c| (c.name.as_str(), c)).collect();
    let found: HashSet<&str> = columns(table).iter().map(|c| c.name.as_str()).collect();
    let lost = |table: &Table, name: &str| table.lost.iter().any(|lost| lost.name == name);
    let missing = |c: &&&Column| !found.contains(c.name.as_str()) && !lost(table, &c.name);
    if let Some(missing) = columns(reference).iter().find(missing) {
        return differ(format!("no column '{}'", missing.name));
    }
    for column in &table.columns {
        match known.get(column.name.as_str()) {
            Some(same) if (&same.dtype, &same.shape) != (&column.dtype, &column.shape) => {
                return differ(format!("column '{}' as {} instead of {}", column.name, kind(column), kind(same)));
            }
            Some(same) if is_merged(table, column) && !is_merged(reference, same) => {
                return differ(format!("column '{}' with stamps", column.name));
            }
            None if is_merged(table, column) && !lost(reference, &column.name) => {
                return differ(format!("a column '{}' more", column.name));
            }
            _ => {}
        }
    }
    Ok(())
}

fn kind(column: &Column) -> String {
    let dtype = column.dtype.as_ref().map_or_else(Clone::clone, ToString::to_string);
    format!("{dtype} {}", shape_text(&column.shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use h5part_base::dataspace::{ColumnLayout, Dtype, Place, Stamps};

    fn column(name: &str, dtype: Dtype, shape: &[u64], stamp: Option<usize>) -> Column {
        Column {
            name: name.to_owned(),
            dtype: Ok(dtype),
            shape: shape.to_vec(),
            fill: dtype.default_fill(),
            chunk: None,
            layout: Err("none".to_owned()),
            filters: None,
            big_endian: false,
            terminated: Vec::new(),
            frozen: None,
            stamp,
        }
    }

    fn table(path: &str, rows: u64, columns: Vec<Column>) -> Table {
        let layout = ColumnLayout { rows, cell_bytes: 8, place: Place::Contiguous { address: 0 } };
        let stamped = columns.iter().any(|c| c.stamp.is_some());
        let stamps = stamped.then_some(Stamps { table: 1, layout, width: 1, guards: Vec::new() });
        Table {
            path: path.to_owned(),
            rows,
            columns,
            stamps,
            lost: Vec::new(),
            aliases: Vec::new(),
            surplus: Vec::new(),
            unopenable: Vec::new(),
        }
    }

    fn found(input: Option<usize>, tables: Vec<Table>) -> Found {
        let tables = tables.into_iter().map(|table| (table.path.clone(), table)).collect();
        let known = Known { tables, ..Known::default() };
        Found { path: PathBuf::from(format!("{input:?}.h5")), input, known }
    }

    #[test]
    fn which_tables_are_merged() {
        let e = |stamp| vec![column("E", Dtype::F64, &[], stamp)];
        let stamped = found(Some(0), vec![table("t", 5, e(Some(0))), table("notes", 3, e(None))]);
        let other = found(Some(1), vec![table("t", 9, e(Some(0))), table("u", 2, e(Some(0)))]);
        let paths = |files: &[Found]| {
            plan(files, &MergeOptions::default()).expect("plan").iter().map(|j| j.path.clone()).collect::<Vec<_>>()
        };
        let both = [stamped, other];
        assert_eq!(paths(&both), ["t", "u"], "notes are of another program");
        let joined = plan(&both, &MergeOptions::default()).expect("plan");
        assert_eq!((joined[0].rows, joined[0].sources.len(), joined[0].is_there), (9, 2, false));
        let plain = found(Some(0), vec![table("a", 5, e(None)), table("b", 3, e(None))]);
        assert_eq!(paths(&[plain]), ["a", "b"], "a file without stamps");
        let out = found(None, vec![table("t", 5, e(Some(0)))]);
        assert_eq!(paths(&[out]), [""; 0], "nothing to merge");
    }

    #[test]
    fn columns_must_be_the_same() {
        let e = || column("E", Dtype::F64, &[3], Some(0));
        let reference = table("t", 5, vec![e(), column("n", Dtype::I64, &[], Some(1))]);
        let reordered = table("t", 7, vec![column("n", Dtype::I64, &[], Some(0)), e()]);
        assert!(check_columns(&reference, &reordered, Path::new("x")).is_ok());
        for (columns, what) in [
            (vec![e()], "no column 'n'"),
            (vec![e(), column("n", Dtype::I64, &[], Some(1)), column("m", Dtype::I64, &[], Some(2))], "'m' more"),
            (vec![e(), column("n", Dtype::I32, &[], Some(1))], "as i32"),
            (vec![column("E", Dtype::F64, &[4], Some(0)), column("n", Dtype::I64, &[], Some(1))], "instead of f64 3"),
        ] {
            let error = check_columns(&reference, &table("t", 5, columns), Path::new("x.h5")).expect_err("differs");
            let text = error.to_string();
            assert!(text.contains(what) && text.contains("x.h5"), "{text}");
        }
    }
}
