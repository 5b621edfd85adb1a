//! A table as read from a file: its columns and stamps, and where they lie.

use super::{ColumnLayout, Dtype, Filter, Places, Rows, SECTOR_STAMPS};
use crate::error::{ErrorKind, Gone, Item};
use crate::num::to_usize;
use std::collections::HashMap;
use std::ops::Range;

/// The reason why a column whose values lie in other files is not direct.
pub const OUTSIDE: &str = "stored outside the file";

/// One table of an open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Path of its group in the file, without a leading slash; empty for the root group.
    pub path: String,
    /// Number of rows of all its columns.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Where its stamps are, if h5part made or adopted it.
    pub stamps: Option<Stamps>,
    /// Stamped columns that another program has deleted, renamed, shortened or retyped.
    pub lost: Vec<LostColumn>,
    /// Other names of its columns, each with the name of its column.
    pub aliases: Vec<(String, String)>,
    /// Stamped columns that another program made longer than the others, with their lengths. Elements beyond the rows
    /// of the table belong to no row.
    pub surplus: Vec<(String, u64)>,
    /// Names of datasets in its group that HDF5 cannot open; `verify` says why.
    pub unopenable: Vec<String>,
}

/// A stamped column that is not as its stamps say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostColumn {
    /// The name that was stamped.
    pub name: String,
    /// Its place among the stamps of a row.
    pub place: usize,
    /// What happened to it.
    pub loss: Loss,
    /// The rows that a shortened column still has.
    pub rest: Option<Box<Column>>,
}

/// What another program did to a stamped column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No dataset has its name.
    Gone {
        /// Name of a dataset without stamps that it may have become, since length, type and cell shape are the same.
        renamed: Option<String>,
    },
    /// Its dataset has fewer rows than the stamps.
    Shortened {
        /// Remaining rows.
        rows: u64,
    },
    /// Its dataset has another type or cell shape.
    Retyped {
        /// Its current type and cell shape.
        now: String,
    },
}

impl LostColumn {
    /// First row that is lost.
    #[must_use]
    pub fn first_row(&self) -> u64 {
        if let Loss::Shortened { rows } = self.loss { rows } else { 0 }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone { renamed: None } => write!(f, "is gone: deleted or renamed"),
            Self::Gone { renamed: Some(name) } => write!(f, "is gone; '{name}' has its type and length: renamed?"),
            Self::Shortened { rows } => write!(f, "has only {rows} rows left"),
            Self::Retyped { now } => write!(f, "was replaced by one of type {now}"),
        }
    }
}

/// Stamps of a table: a dataset of `rows` x `width` u64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// Number of the table among those of the file, from 1.
    pub table: u64,
    /// Where they lie; a cell is the row's `width` stamps.
    pub layout: ColumnLayout,
    /// Stamps per row: a power of two, at least the number of columns.
    pub width: usize,
    /// Its guard columns. No column is covered by two of them.
    pub guards: Vec<Guard>,
}

/// A column that tells programs without knowledge of stamps whether a row is complete in the columns that it covers. It
/// is undefined while any of these is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its place among the stamps of a row.
    pub place: usize,
    /// The places of the columns that it covers, including its own.
    pub covers: Places,
    /// Little-endian bytes of the element that says "undefined".
    pub undefined: Vec<u8>,
    /// Little-endian bytes of the element that says "complete", if known. Otherwise every other element says so.
    pub complete: Option<Vec<u8>>,
}

impl Stamps {
    /// The guard that covers the column at this place.
    #[must_use]
    pub fn guard_of(&self, place: usize) -> Option<&Guard> {
        self.guards.iter().find(|guard| guard.covers(place))
    }

    /// The guard that is the column at this place.
    #[must_use]
    pub fn guard_at(&self, place: usize) -> Option<&Guard> {
        self.guards.iter().find(|guard| guard.place == place)
    }
}

impl Guard {
    /// Whether `now` is the same guard at a later time. It may cover more columns by then.
    #[must_use]
    pub fn is_still(&self, now: &Self) -> bool {
        let same = |guard: &Self| (guard.place, guard.undefined.clone(), guard.complete.clone());
        same(self) == same(now) && self.covers.is_within(&now.covers)
    }

    /// Whether it covers the column at this place.
    #[must_use]
    pub fn covers(&self, place: usize) -> bool {
        self.covers.contains(place)
    }

    /// Whether an element says that its row is complete.
    #[must_use]
    pub fn says_complete(&self, element: &[u8]) -> bool {
        self.complete.as_ref().map_or(element != self.undefined, |complete| element == complete)
    }
}

/// One dataset of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name of the dataset in its group.
    pub name: String,
    /// Element type, or the file's description of a type that h5part has no name for.
    pub dtype: Result<Dtype, String>,
    /// Shape of one row's cell.
    pub shape: Vec<u64>,
    /// Little-endian bytes of the fill element; zeros if HDF5 must never write it (`H5D_FILL_TIME_NEVER`).
    pub fill: Vec<u8>,
    /// Shape of a chunk, if it is chunked.
    pub chunk: Option<Vec<u64>>,
    /// For a direct column, where its cells lie. For a library column, why only the library can reach them.
    pub layout: Result<ColumnLayout, String>,
    /// Filters of its chunks, if h5part decodes them without the library.
    pub filters: Option<Vec<Filter>>,
    /// Whether its elements are big-endian in the file.
    pub big_endian: bool,
    /// Bytes of an element that are texts which end at their first zero (`H5T_STR_NULLTERM`). What follows the zero is
    /// no part of the value.
    pub terminated: Vec<Range<usize>>,
    /// Why it can be read but is never written: a filter that loses information, or that is only decoded. Such a column
    /// gets no stamps, and is copied as it is stored.
    pub frozen: Option<String>,
    /// Position of its stamp in a row of stamps.
    pub stamp: Option<usize>,
}

impl Column {
    /// Sets what follows the end of a text to zero, in whole elements. HDF5 does so for readers that ask for numpy's
    /// texts.
    pub fn end_texts(&self, elements: &mut [u8]) {
        let Ok(size) = self.dtype.as_ref().map(|dtype| dtype.size()) else { return };
        if self.terminated.is_empty() {
            return;
        }
        for element in elements.chunks_exact_mut(to_usize(size).max(1)) {
            for text in &self.terminated {
                let text = &mut element[text.clone()];
                let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
                text[end..].fill(0);
            }
        }
    }
}

impl Table {
    /// The column with this name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::ColumnLost`] if it was stamped and another program has changed it.
    pub fn column(&self, name: &str) -> Result<&Column, ErrorKind> {
        let name = self.aliases.iter().find(|(alias, _)| alias == name).map_or(name, |(_, column)| column);
        self.columns.iter().find(|c| c.name == name).ok_or_else(|| match self.lost.iter().find(|l| l.name == name) {
            Some(lost) => self.lost_error(lost),
            None => ErrorKind::NotFound {
                what: self.item(name),
                known: self.columns.iter().map(|c| c.name.clone()).collect(),
            },
        })
    }

    /// The column with this name, for reading. A shortened column is returned with its remaining rows.
    ///
    /// # Errors
    /// As [`Table::column`].
    pub fn readable(&self, name: &str) -> Result<&Column, ErrorKind> {
        self.column(name).or_else(|error| {
            let lost = self.lost.iter().find(|lost| lost.name == name);
            lost.and_then(|lost| lost.rest.as_deref()).ok_or(error)
        })
    }

    /// The same table, with what is left of shortened columns. It is for callers that check the length of each column.
    #[must_use]
    pub fn with_rest(mut self) -> Self {
        self.columns.extend(self.lost.iter().filter_map(|lost| lost.rest.as_deref().cloned()));
        self
    }

    /// Checks that these rows of columns can be read.
    ///
    /// # Errors
    /// [`ErrorKind::ColumnLost`] if another program has removed them.
    pub fn refuse_cut_off(&self, names: &[&str], rows: &Rows) -> Result<(), ErrorKind> {
        let mut named = self.lost.iter().filter(|lost| names.contains(&lost.name.as_str()));
        let cut = |lost: &&LostColumn| lost.rest.is_some() && rows.check(lost.first_row()).is_err();
        named.find(cut).map_or(Ok(()), |lost| Err(self.lost_error(lost)))
    }

    fn lost_error(&self, lost: &LostColumn) -> ErrorKind {
        let (column, what) = (lost.name.clone(), lost.loss.to_string());
        ErrorKind::ColumnLost { table: self.path.clone(), column, what }
    }

    /// Refuses a table that has lost stamped values.
    ///
    /// # Errors
    /// [`ErrorKind::ColumnLost`] for the first of them.
    pub fn refuse_lost(&self) -> Result<(), ErrorKind> {
        self.lost.first().map_or(Ok(()), |lost| Err(self.lost_error(lost)))
    }

    /// What a copy by rows leaves out: where, and why.
    pub fn beyond_rows(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let root = if self.path.is_empty() { String::new() } else { format!("/{}", self.path) };
        self.surplus.iter().map(move |(name, len)| {
            let why = format!("its elements {}:{len} belong to no row: other columns are shorter", self.rows);
            (format!("{root}/{name}"), why)
        })
    }

    /// Whether another program appended rows that have no stamps yet.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.stamped_rows() < self.rows
    }

    /// Rows that have stamps. Another program may have made the columns longer.
    #[must_use]
    pub fn stamped_rows(&self) -> u64 {
        self.stamps.as_ref().map_or(self.rows, |stamps| stamps.layout.rows)
    }

    /// The name that errors give a column of it.
    #[must_use]
    pub fn item(&self, column: &str) -> Item {
        Item::Column { table: self.path.clone(), column: column.to_owned() }
    }

    /// The stamps of the table.
    ///
    /// # Errors
    /// [`ErrorKind::Unstamped`] if it has none.
    pub fn expect_stamps(&self) -> Result<&Stamps, ErrorKind> {
        self.stamps.as_ref().ok_or_else(|| ErrorKind::Unstamped(Item::Table(self.path.clone())))
    }

    /// The column whose stamp is at this place.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`] if there is none.
    pub fn column_at(&self, place: usize) -> Result<&Column, ErrorKind> {
        self.find_at(place).ok_or_else(|| ErrorKind::Replaced(Gone::Column(format!("number {place} of the stamps"))))
    }

    /// The column at this place, if there is one.
    #[must_use]
    pub fn find_at(&self, place: usize) -> Option<&Column> {
        let is_it = |column: &&Column| column.stamp == Some(place);
        // Columns are sorted by place, and usually none is missing.
        self.columns.get(place).filter(is_it).or_else(|| self.columns.iter().find(is_it))
    }

    /// A finder for looking up this many names.
    #[must_use]
    pub fn finder(&self, names: usize) -> Finder<'_> {
        let many = names.saturating_mul(self.columns.len()) > SECTOR_STAMPS * SECTOR_STAMPS;
        let by_name = many.then(|| self.columns.iter().map(|column| (column.name.as_str(), column)).collect());
        Finder { table: self, by_name }
    }

    /// The guard that covers a column.
    #[must_use]
    pub fn guard_of(&self, column: &Column) -> Option<&Guard> {
        self.stamps.as_ref()?.guard_of(column.stamp?)
    }

    /// Names of the columns with stamps, grouped by the guard that covers them; one group for those without a guard.
    #[must_use]
    pub fn by_guard(&self) -> Vec<Vec<String>> {
        let mut parts: Vec<(Option<usize>, Vec<String>)> = Vec::new();
        for column in self.columns.iter().filter(|column| column.stamp.is_some()) {
            let guard = self.guard_of(column).map(|guard| guard.place);
            match parts.iter_mut().find(|(other, _)| *other == guard) {
                Some((_, names)) => names.push(column.name.clone()),
                None => parts.push((guard, vec![column.name.clone()])),
            }
        }
        parts.into_iter().map(|(_, names)| names).collect()
    }

    /// The guard whose column this is.
    #[must_use]
    pub fn as_guard(&self, column: &Column) -> Option<&Guard> {
        self.stamps.as_ref()?.guard_at(column.stamp?)
    }

    /// Bytes of values per row, over all columns of supported types.
    #[must_use]
    pub fn row_bytes(&self) -> u64 {
        self.columns.iter().map(Column::cell_bytes).sum()
    }

    /// First byte after the data and stamps of the table.
    #[must_use]
    pub fn end(&self) -> u64 {
        let columns = self.columns.iter().filter_map(|c| c.layout.as_ref().ok());
        let stamps = self.stamps.iter().map(|s| &s.layout);
        columns.chain(stamps).map(ColumnLayout::end).max().unwrap_or(0)
    }
}

/// Finds columns of a table by name. For a wide table it does not search all columns each time.
#[derive(Debug)]
pub struct Finder<'a> {
    table: &'a Table,
    by_name: Option<HashMap<&'a str, &'a Column>>,
}

impl<'a> Finder<'a> {
    /// As [`Table::column`].
    ///
    /// # Errors
    /// As [`Table::column`].
    pub fn column(&self, name: &str) -> Result<&'a Column, ErrorKind> {
        match self.by_name.as_ref().and_then(|known| known.get(name)) {
            Some(column) => Ok(column),
            // Another name of a column, or an unknown one.
            None => self.table.column(name),
        }
    }

    /// As [`Table::readable`].
    ///
    /// # Errors
    /// As [`Table::readable`].
    pub fn readable(&self, name: &str) -> Result<&'a Column, ErrorKind> {
        match self.by_name.as_ref().and_then(|known| known.get(name)) {
            Some(column) => Ok(column),
            None => self.table.readable(name),
        }
    }
}

impl Column {
    /// Its element type.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedColumn`].
    pub fn dtype(&self) -> Result<Dtype, ErrorKind> {
        self.dtype
            .clone()
            .map_err(|dtype| ErrorKind::UnsupportedColumn { column: self.name.clone(), dtype: Some(dtype) })
    }

    /// Whether `now` is this column at a later time: everything that is written in place lies where it was. Library
    /// columns may move. Tables may grow; if another program extends a column without allocating space for the new
    /// rows, it becomes a library column.
    #[must_use]
    pub fn is_still(&self, now: &Self) -> bool {
        let same = |c: &Self| (c.dtype.clone(), c.shape.clone(), c.fill.clone(), c.stamp);
        let stays = match (&self.layout, &now.layout) {
            (Ok(before), Ok(now)) => before.is_start_of(now),
            (_, Err(_)) | (Err(_), _) => true,
        };
        stays && same(self) == same(now)
    }

    /// Checks that it may be written.
    ///
    /// # Errors
    /// [`ErrorKind::LibraryColumn`] with the reason: see [`Column::frozen`].
    pub fn writable(&self) -> Result<(), ErrorKind> {
        match &self.frozen {
            None => Ok(()),
            Some(reason) => Err(ErrorKind::LibraryColumn { column: self.name.clone(), reason: reason.clone() }),
        }
    }

    /// The layout of a direct column.
    ///
    /// # Errors
    /// [`ErrorKind::LibraryColumn`].
    pub fn direct(&self) -> Result<&ColumnLayout, ErrorKind> {
        self.layout
            .as_ref()
            .map_err(|reason| ErrorKind::LibraryColumn { column: self.name.clone(), reason: reason.clone() })
    }

    /// Bytes per cell; 0 if its type is not supported.
    #[must_use]
    pub fn cell_bytes(&self) -> u64 {
        let size = self.dtype.as_ref().map_or(0, |dtype| dtype.size());
        self.shape.iter().fold(size, |n, &k| n.saturating_mul(k))
    }

    /// The cell of a row that is not there, as bytes.
    #[must_use]
    pub fn fill_cell(&self) -> Vec<u8> {
        let elements = self.shape.iter().product::<u64>();
        self.fill.repeat(usize::try_from(elements).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataspace::Place;

    fn column(name: &str, shape: &[u64], address: u64) -> Column {
        let cell_bytes = shape.iter().product::<u64>() * 8;
        let layout = ColumnLayout { rows: 7, cell_bytes, place: Place::Contiguous { address } };
        let (dtype, fill) = (Ok(Dtype::F64), Dtype::F64.default_fill());
        Column {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            fill,
            chunk: None,
            layout: Ok(layout),
            filters: None,
            big_endian: false,
            terminated: Vec::new(),
            frozen: None,
            stamp: Some(0),
        }
    }

    #[test]
    fn a_table_adds_up_its_columns() {
        let library = Column { layout: Err("filtered".to_owned()), ..column("z", &[3], 9000) };
        let columns = vec![column("e", &[], 500), column("f", &[2, 5], 1000), library];
        let stamps = ColumnLayout { rows: 7, cell_bytes: 32, place: Place::Contiguous { address: 2000 } };
        let stamps = Stamps { table: 1, layout: stamps, width: 4, guards: Vec::new() };
        let table = Table {
            path: "t".to_owned(),
            rows: 7,
            columns,
            stamps: Some(stamps),
            lost: Vec::new(),
            aliases: Vec::new(),
            surplus: Vec::new(),
            unopenable: Vec::new(),
        };
        assert_eq!(table.row_bytes(), 8 + 80 + 24);
        assert_eq!(table.end(), 2000 + 7 * 32, "stamps lie last");
        assert_eq!(Table { stamps: None, ..table.clone() }.end(), 1000 + 7 * 80);
        assert_eq!(table.column("f").expect("there").shape, [2, 5]);
        let error = table.column("g").expect_err("not there");
        assert!(
            matches!(&error, ErrorKind::NotFound { what: Item::Column { .. }, known } if *known == ["e", "f", "z"]),
            "{error}"
        );
        assert_eq!(table.columns[1].fill_cell(), f64::NAN.to_le_bytes().repeat(10));
        assert!(table.columns[0].direct().is_ok() && table.columns[2].direct().is_err());
    }

    #[test]
    fn a_column_is_still_itself_where_nothing_of_it_has_changed() {
        let before = column("e", &[2], 500);
        assert!(before.is_still(&before) && before.is_still(&Column { name: "new name".to_owned(), ..before.clone() }));
        assert!(!before.is_still(&column("e", &[2], 600)), "it has moved");
        assert!(!before.is_still(&Column { dtype: Ok(Dtype::I64), ..before.clone() }));
        assert!(!before.is_still(&Column { stamp: Some(1), ..before.clone() }));
        let library = Column { layout: Err("filtered".to_owned()), ..before.clone() };
        assert!(before.is_still(&library) && library.is_still(&before), "what only the library reaches may move");
    }

    #[test]
    fn what_says_complete() {
        let guard = Guard { place: 0, covers: [0].into_iter().collect(), undefined: vec![1], complete: None };
        assert!(guard.says_complete(&[0]) && guard.says_complete(&[2]) && !guard.says_complete(&[1]));
        let guard = Guard { complete: Some(vec![0]), ..guard };
        assert!(guard.says_complete(&[0]) && !guard.says_complete(&[2]) && !guard.says_complete(&[1]));
    }
}
