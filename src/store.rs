//! The store: one HDF5 file that many processes write in place, at the same time.

use crate::merge::{MergeOptions, Merged};
use crate::publish::{Published, Publishing};
use crate::verify::{Report, Verify};
use crate::{
    Adopted, Adoption, Attribute, Commit, Dimensions, ErrorKind, Gate, Reader, Recovery, Result, Rows, Status,
    StoreOptions, Table, TableInfo, Writer,
};
use h5part_base::dataspace::shape_text;
use h5part_base::error::{At, Item};
use h5part_engine::h5::NewTable;
use h5part_engine::store as engine;
use std::path::Path;
use std::time::Duration;

/// An HDF5 file that many processes write in place, at the same time. It is cheap to clone and holds nothing open.
///
/// [`Store::writer`] opens a table for commits, [`Store::reader`] opens it for reading.
///
/// # Structural changes
/// Methods that create, adopt or extend tables, add columns, or set attributes change the structure of the file.
///
/// **Concurrency.** Any number of processes may call them; one works at a time. A change first waits for stock programs
/// that have the file open, even if they only read it; commits go on during this wait. While the change is made,
/// commits wait. Stock programs may open the file for reading meanwhile, except for the instant in which the change is
/// applied. **Atomic**: the whole change. **Survives** loss of power once the call has returned. A kill before that
/// leaves the file as it was, readable for everybody, or the next process to enter the gate finishes the change. The
/// cost depends on what changes, not on what the file holds.
///
/// **Errors** of all of them: [`ErrorKind::NotFound`], [`ErrorKind::NotHdf5`], [`ErrorKind::ReadOnly`],
/// [`ErrorKind::UntrustedLocks`], [`ErrorKind::HardLinked`], [`ErrorKind::LockTimeout`], [`ErrorKind::NoSpace`],
/// [`ErrorKind::Published`], I/O errors.
#[derive(Clone, Debug)]
pub struct Store {
    engine: engine::Store,
    options: StoreOptions,
}

impl engine::AsStore for Store {
    fn as_store(&self) -> &engine::Store {
        &self.engine
    }
}

impl Store {
    pub(crate) fn new(engine: engine::Store, options: StoreOptions) -> Self {
        Self { engine, options }
    }

    /// Opens the store at `path`, which must exist. Symbolic links are resolved. [`StoreOptions`] sets timeouts and
    /// other options.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        StoreOptions::new().open(path)
    }

    /// Creates a table in the file at `path`. Creates the file if it does not exist.
    ///
    /// **Concurrency.** Any number of processes may create tables at the same time. One creates the file; the others
    /// add their tables by [structural changes](Store#structural-changes). **Survives** a kill at any instant: the
    /// table exists as a whole, or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] (see [`Store::require`]), [`ErrorKind::BadColumn`], [`ErrorKind::BadRequest`],
    /// [`ErrorKind::NoSpace`] before anything is written, and those of structural changes.
    pub fn create(path: impl AsRef<Path>, table: Table) -> Result<Self> {
        StoreOptions::new().create(path, table)
    }

    /// Creates a table as [`Store::create`] does, unless it exists. If it exists, checks that it fits: see
    /// [`Store::require_table`]. This is for programs that are started many times on the same file.
    ///
    /// **Concurrency.** As [`Store::require_table`].
    ///
    /// # Errors
    /// As [`Store::require_table`].
    pub fn require(path: impl AsRef<Path>, table: Table) -> Result<Self> {
        StoreOptions::new().require(path, table)
    }

    /// The HDF5 file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.engine.path()
    }

    /// All tables of the file, including those that h5part did not make.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn tables(&self) -> Result<Vec<TableInfo>> {
        Ok(self.engine.tables()?.iter().map(|listing| TableInfo::of(&listing.table)).collect())
    }

    /// Opens a table for commits. Makes the lock file and the sidecar folder if they are missing. Puts back the old
    /// values of rows that dead writers left half-written in the table.
    ///
    /// **Concurrency.** Any number of writers, in any number of processes: see [`Writer`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotHdf5`], [`ErrorKind::Cut`],
    /// [`ErrorKind::ReadOnly`], [`ErrorKind::UntrustedLocks`], [`ErrorKind::HardLinked`], [`ErrorKind::Published`],
    /// [`ErrorKind::LockTimeout`].
    pub fn writer(&self, table: &str) -> Result<Writer> {
        Ok(Writer::new(self.engine.writer(table)?, self.path()))
    }

    /// Opens a table for reading. It makes no file and keeps no writer waiting.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotHdf5`], [`ErrorKind::Cut`],
    /// [`ErrorKind::LockTimeout`] while a stock program has the file open for writing.
    pub fn reader(&self, table: &str) -> Result<Reader> {
        Ok(Reader::new(self.engine.reader(table)?, self.path()))
    }

    /// Counts the cells of a table by state. Reads only stamps.
    ///
    /// # Errors
    /// As [`Store::reader`]; [`ErrorKind::Unstamped`].
    pub fn status(&self, table: &str) -> Result<Status> {
        self.engine.status(table, 1)
    }

    /// As [`Store::status`], with the share of committed cells (0 to 1) in each of `parts` equal parts of the table.
    /// There are at most as many parts as rows.
    ///
    /// # Errors
    /// As [`Store::status`].
    pub fn coverage(&self, table: &str, parts: usize) -> Result<Status> {
        self.engine.status(table, parts)
    }

    /// The rows in which not every stamped column is committed. They are still to be computed. Reads only stamps.
    ///
    /// # Errors
    /// As [`Store::status`].
    pub fn missing(&self, table: &str) -> Result<Rows> {
        self.engine.missing(table)
    }

    /// Makes rows of a table "not there" again, in all columns with stamps: see [`Writer::reset`].
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see [`Writer::reset`].
    ///
    /// # Errors
    /// As [`Store::writer`] and [`Writer::reset`].
    pub fn reset(&self, table: &str, rows: impl Into<Rows>) -> Result<Commit> {
        self.writer(table)?.reset(rows)
    }

    /// Recovers what dead writers left in the store. Rows that they left half-written get their old values back. A
    /// structural change that one of them left is finished or undone. Writers recover by themselves what they meet.
    ///
    /// **Concurrency.** Writers, readers and other recoveries may run beside it. Each row is put back under its lock.
    /// If a recovery is killed, the next one finishes it.
    ///
    /// # Errors
    /// As [`Store::writer`]; [`ErrorKind::NewerFormat`].
    pub fn recover(&self) -> Result<Recovery> {
        self.engine.recover()
    }

    /// Creates a table in this file.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    ///
    /// # Errors
    /// As [`Store::create`].
    #[expect(clippy::needless_pass_by_value, reason = "callers build the table in the call")]
    pub fn create_table(&self, table: Table) -> Result<()> {
        self.engine.create(table.as_new(), &self.tell())
    }

    /// Creates a table, unless it exists. If it exists, checks that it has at least these columns, with these types and
    /// shapes, and at least this many rows.
    ///
    /// **Concurrency.** Any number of processes may require the same table at the same time: one of them creates it.
    /// What is **atomic** and what **survives**: as [`Store::create`].
    ///
    /// # Errors
    /// For a table that does not fit: [`ErrorKind::RowOutOfRange`] if it has too few rows, [`ErrorKind::DtypeMismatch`]
    /// if a column has another type or shape, [`ErrorKind::NotFound`] if it lacks a column. Otherwise as
    /// [`Store::create`].
    #[expect(clippy::needless_pass_by_value, reason = "callers build the table in the call")]
    pub fn require_table(&self, table: Table) -> Result<()> {
        let wanted = table.as_new();
        // Opening a reader keeps nobody waiting. An attempt to create would.
        if self.path().exists() {
            match self.engine.reader(&wanted.path) {
                Ok(found) => return check_fit(wanted, &found).at("use", self.path()),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound { what: Item::Table(_), .. }) => {}
                Err(e) => return Err(e),
            }
        }
        match self.engine.create(wanted, &self.tell()) {
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists(Item::Table(_))) => {
                check_fit(wanted, &self.engine.reader(&wanted.path)?).at("use", self.path())
            }
            made => made,
        }
    }

    /// Extends a table to `rows` rows. The new rows hold the fill value until they are committed. Returns the former
    /// number of rows.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    /// Writers and readers of the table go on, and see the new rows.
    ///
    /// # Errors
    /// [`ErrorKind::CannotGrow`], [`ErrorKind::NotFound`], those of structural changes.
    pub fn extend(&self, table: &str, rows: u64) -> Result<u64> {
        self.engine.extend(table, rows)
    }

    /// Adds columns to a table, whichever program made it. `add` gets a description of the table with its path and
    /// number of rows, but without columns, and adds the new columns to it:
    ///
    /// ```no_run
    /// # fn add(store: &h5part::Store) -> h5part::Result<()> {
    /// store.add_columns("frames", |table| table.column::<f64>("stress", [3, 3]))
    /// # }
    /// ```
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    /// Writers and readers of the table go on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyExists`], [`ErrorKind::BadColumn`], those of structural changes.
    pub fn add_columns(&self, table: &str, add: impl FnOnce(Table) -> Table) -> Result<()> {
        let rows = self.engine.reader(table)?.table().rows;
        self.engine.add_columns(add(Table::new(table, rows)).as_new())
    }

    /// The named dimensions of a table, whichever program made them: h5part, netCDF, xarray or h5py.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn dimensions(&self, table: &str) -> Result<Dimensions> {
        self.engine.dimensions(table)
    }

    /// Gives stamps to a table, or to columns, that another program made. The datasets stay as they are. Every value is
    /// read, since stamps hold checksums. With [`Adoption::dry_run`] nothing is changed.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes). A
    /// dry run only reads, and keeps commits waiting no longer than a reader does.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] unless [`Adoption::again`], [`ErrorKind::NothingToAdopt`], [`ErrorKind::NotFound`],
    /// [`ErrorKind::BadRequest`], those of structural changes.
    pub fn adopt(&self, table: &str, how: &Adoption) -> Result<Adopted> {
        self.engine.adopt(table, how, &self.tell())
    }

    /// An attribute of a table, or of a column by its path, such as `frames/E`. `None`: it does not exist, or
    /// [`Attribute`] has no variant for its type.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], those of [`Store::reader`].
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>> {
        self.engine.attribute(path, name)
    }

    /// Names of the attributes of a table, or of a column by its path, sorted.
    ///
    /// # Errors
    /// As [`Store::attribute`].
    pub fn attribute_names(&self, path: &str) -> Result<Vec<String>> {
        self.engine.attribute_names(path)
    }

    /// Sets an attribute of a table, or of a column by its path, such as `frames/E`. An existing attribute is replaced.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::ReservedName`], those of structural changes.
    pub fn set_attribute(&self, path: &str, name: &str, value: impl Into<Attribute>) -> Result<()> {
        self.engine.set_attributes(path, &[(name.to_owned(), value.into())])
    }

    /// Takes the gate, so that this program may change the file through another library while writers run. Waits for at
    /// most `timeout`. `None`: as long as for any other lock, see [`StoreOptions::timeout`].
    ///
    /// ```no_run
    /// # fn annotate(store: &h5part::Store) -> h5part::Result<()> {
    /// let gate = store.gate(None)?;
    /// // Any HDF5 library may open the file for writing here, and must close it again.
    /// drop(gate);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// **Concurrency.** While the gate is held, no process commits, changes the structure, or opens a writer or a
    /// reader. They wait, and go on afterwards. Readers that are already open go on reading direct columns. Stock
    /// programs are not excluded; HDF5's own file lock keeps them apart from the library that has the file open.
    /// **Survives**: h5part undoes nothing if the holder dies. The kernel releases the gate, and the file is as the
    /// other library left it. So a change that the other library has begun may be lost, or damage the file, as without
    /// h5part.
    ///
    /// Values of committed cells that are changed under the gate no longer match their stamps. They count as foreign:
    /// see [`Verify::accept_foreign`](crate::verify::Verify::accept_foreign).
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], which names the holder; those of [structural changes](Store#structural-changes).
    pub fn gate(&self, timeout: Option<Duration>) -> Result<Gate> {
        self.engine.gate(timeout).map(Gate::new)
    }

    /// Checks everything: the structure, every value against its stamp, and the files beside the HDF5 file. The report
    /// lists what is wrong with the file. Without [`Verify::repair`] nothing is written. A repair changes only what it
    /// understands.
    ///
    /// **Concurrency.** May run beside writers and readers. Structural changes wait while the structure is checked, and
    /// while a portion of a library column is read.
    ///
    /// # Errors
    /// Errors that say nothing of the file: [`ErrorKind::NotFound`], [`ErrorKind::LockTimeout`], I/O errors. In a
    /// repair also those of [`CommitBuilder::run`](crate::CommitBuilder::run).
    pub fn verify(&self, how: &Verify) -> Result<Report> {
        self.engine.verify(how, &self.tell())
    }

    /// Publishes what is committed as the file `out`: a copy for readers, with everything else that the file holds. If
    /// `out` was published before, only changed chunks are compressed again.
    ///
    /// **Concurrency.** Runs beside any number of writers and readers. It takes all columns of a row as one commit left
    /// them, and waits for rows that are being overwritten. Structural changes, and commits to library columns, wait
    /// while the structure or a portion of library columns is read. If two processes publish under one name at the same
    /// time, both build a complete file, and the later one stays. **Atomic**: the name refers to the old file until it
    /// refers to the new one. Programs that have the old file open keep it. **Survives** a kill at any instant, with
    /// the old file or the new one, and, once it has returned, loss of power.
    ///
    /// # Errors
    /// [`publish::ErrorKind::NotPublished`](crate::publish::ErrorKind::NotPublished) if `out` exists but was not
    /// published from this store; [`ErrorKind::ForeignChange`], [`ErrorKind::LockTimeout`], [`ErrorKind::NoSpace`], and
    /// those of [`Store::reader`]. After an error `out` is unchanged.
    pub fn publish(&self, out: impl AsRef<Path>, how: Publishing) -> Result<Published> {
        self.engine.publish(&self.options.name(out)?.engine, how, &self.tell())
    }

    /// Merges the committed rows of other files into this one: see [`merge::merge`](crate::merge::merge).
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see [`merge::merge`](crate::merge::merge).
    ///
    /// # Errors
    /// As [`merge::merge`](crate::merge::merge).
    pub fn merge<P: AsRef<Path>>(&self, inputs: impl IntoIterator<Item = P>, options: &MergeOptions) -> Result<Merged> {
        let inputs = inputs.into_iter().map(|input| Ok(self.options.open(input)?.engine));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        h5part_engine::merge::merge(&self.engine, &inputs, options, &self.tell())
    }

    fn tell(&self) -> impl Fn(u64, u64) + Sync + '_ {
        |done, total| self.options.progress().tell(done, total)
    }
}

/// Checks that an existing table has at least the rows and columns that are wanted.
fn check_fit(wanted: &NewTable, found: &engine::Reader) -> Result<(), ErrorKind> {
    let table = found.table();
    if table.rows < wanted.rows {
        return Err(ErrorKind::RowOutOfRange { row: wanted.rows - 1, rows: table.rows });
    }
    for column in &wanted.columns {
        let there = table.column(&column.name)?;
        if (there.dtype()?, &there.shape) != (column.dtype, &column.shape) {
            let text = |dtype, shape: &[u64]| format!("{dtype} {}", shape_text(shape));
            let (found, expected) = (text(there.dtype()?, &there.shape), text(column.dtype, &column.shape));
            return Err(ErrorKind::DtypeMismatch { column: column.name.clone(), expected, found });
        }
    }
    Ok(())
}
