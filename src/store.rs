//! The store: one HDF5 file that many processes write in place, at once.

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

/// An HDF5 file that many processes write in place, at once. Cheap to clone; holds nothing open.
///
/// Rows are committed by [`Store::writer`] and read by [`Store::reader`].
///
/// # Structural changes
/// Methods that add, extend, adopt or describe tables change the structure of the file.
///
/// **Concurrency.** Any number of processes may call them; one works at a time. Commits wait meanwhile and go on
/// afterwards. Stock programs that have the file open for writing are waited for. **Atomic** is the whole change.
/// **Survives** loss of power once the call has returned. Before, a kill at any instant leaves the file as it was,
/// readable for everybody, or the next process to come finishes the change. A change costs what it changes, not what the
/// file holds.
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

    /// Opens the store at `path`, which exists. Symbolic links are resolved. Other timeouts and the like:
    /// [`StoreOptions`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        StoreOptions::new().open(path)
    }

    /// Creates a table in the file at `path`; makes the file if it does not exist.
    ///
    /// **Concurrency.** Any number of processes may create tables at the same time: one makes the file, the others add
    /// their tables by [structural changes](Store#structural-changes). **Survives** a kill at any instant: the table is
    /// there as a whole, or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] (see [`Store::require`]), [`ErrorKind::BadColumn`], [`ErrorKind::BadRequest`],
    /// [`ErrorKind::NoSpace`] before anything is written, and those of structural changes.
    pub fn create(path: impl AsRef<Path>, table: Table) -> Result<Self> {
        StoreOptions::new().create(path, table)
    }

    /// Creates a table as [`Store::create`] does, unless it exists; then checks that it fits. For programs that are
    /// started many times, on the same file.
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

    /// All tables of the file, those that h5part did not make included.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn tables(&self) -> Result<Vec<TableInfo>> {
        Ok(self.engine.tables()?.iter().map(|listing| TableInfo::of(&listing.table)).collect())
    }

    /// Opens a table for commits. Makes the lock file and the sidecar folder where they are missing, and puts back what
    /// dead writers left in the table.
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

    /// Opens a table for reading. Makes no file, and keeps no writer waiting.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotHdf5`], [`ErrorKind::Cut`],
    /// [`ErrorKind::LockTimeout`] while a stock program has the file open for writing.
    pub fn reader(&self, table: &str) -> Result<Reader> {
        Ok(Reader::new(self.engine.reader(table)?, self.path()))
    }

    /// Counts the cells of a table by state. Reads stamps only.
    ///
    /// # Errors
    /// As [`Store::reader`]; [`ErrorKind::Unstamped`].
    pub fn status(&self, table: &str) -> Result<Status> {
        self.engine.status(table, 1)
    }

    /// As [`Store::status`], with the share committed in each of `parts` equal parts of the table.
    ///
    /// # Errors
    /// As [`Store::status`].
    pub fn coverage(&self, table: &str, parts: usize) -> Result<Status> {
        self.engine.status(table, parts)
    }

    /// The rows of which not every column is committed: those that are still to be computed. Reads stamps only.
    ///
    /// # Errors
    /// As [`Store::status`].
    pub fn missing(&self, table: &str) -> Result<Rows> {
        self.engine.missing(table)
    }

    /// Makes rows of a table "not there" again: see [`Writer::reset`].
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see [`Writer::reset`].
    ///
    /// # Errors
    /// As [`Store::writer`] and [`Writer::reset`].
    pub fn reset(&self, table: &str, rows: impl Into<Rows>) -> Result<Commit> {
        self.writer(table)?.reset(rows)
    }

    /// Looks after all writers of the store that have died: rows that they left half-written get their old values back,
    /// and a structural change that they left is finished or undone. Writers do this by themselves where they meet it.
    ///
    /// **Concurrency.** May run beside writers, readers and other recoveries. A recovery that is killed is finished by
    /// the next one.
    ///
    /// # Errors
    /// As [`Store::writer`]; [`ErrorKind::NewerFormat`].
    pub fn recover(&self) -> Result<Recovery> {
        self.engine.recover()
    }

    /// Creates a further table.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    ///
    /// # Errors
    /// As [`Store::create`].
    #[expect(clippy::needless_pass_by_value, reason = "a table is described where it is made")]
    pub fn create_table(&self, table: Table) -> Result<()> {
        self.engine.create(table.as_new(), &self.tell())
    }

    /// Creates a table, unless it exists; then checks that it has at least these columns, with these types and shapes,
    /// and at least as many rows.
    ///
    /// **Concurrency.** Any number of processes may require the same table at once: one creates it.
    ///
    /// # Errors
    /// [`ErrorKind::RowOutOfRange`], [`ErrorKind::DtypeMismatch`] and [`ErrorKind::NotFound`] for a table that does not
    /// fit; as [`Store::create`].
    #[expect(clippy::needless_pass_by_value, reason = "a table is described where it is made")]
    pub fn require_table(&self, table: Table) -> Result<()> {
        let wanted = table.as_new();
        // A look keeps nobody waiting, and an attempt to create would.
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

    /// Extends a table to `rows` rows; the new ones hold the fill value until they are committed. Returns how many rows
    /// there were.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    /// Writers and readers of the table go on, and see the new rows.
    ///
    /// # Errors
    /// [`ErrorKind::CannotGrow`], [`ErrorKind::NotFound`], those of structural changes.
    pub fn extend(&self, table: &str, rows: u64) -> Result<u64> {
        self.engine.extend(table, rows)
    }

    /// Adds columns to a table, whoever made it. `add` gets an empty description of the table, with its path and its
    /// rows:
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

    /// The named dimensions of a table, whoever made them: h5part, netCDF, xarray or h5py.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn dimensions(&self, table: &str) -> Result<Dimensions> {
        self.engine.dimensions(table)
    }

    /// Gives stamps to a table, or to columns, that another program made. The datasets stay as they are; every value is
    /// read. With [`Adoption::dry_run`] nothing is changed.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::NothingToAdopt`], [`ErrorKind::NotFound`],
    /// [`ErrorKind::BadRequest`], those of structural changes.
    pub fn adopt(&self, table: &str, how: &Adoption) -> Result<Adopted> {
        self.engine.adopt(table, how, &self.tell())
    }

    /// An attribute of a table, or of a column by its path, as in `frames/E`; `None` where there is none, or one of a
    /// type that [`Attribute`] does not have.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], those of [`Store::reader`].
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>> {
        self.engine.attribute(path, name)
    }

    /// Names of the attributes of a table, or of a column by its path, ascending.
    ///
    /// # Errors
    /// As [`Store::attribute`].
    pub fn attribute_names(&self, path: &str) -> Result<Vec<String>> {
        self.engine.attribute_names(path)
    }

    /// Sets an attribute of a table, or of a column by its path, as in `frames/E`; one that exists is replaced.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a [structural change](Store#structural-changes).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::ReservedName`], those of structural changes.
    pub fn set_attribute(&self, path: &str, name: &str, value: impl Into<Attribute>) -> Result<()> {
        self.engine.set_attributes(path, &[(name.to_owned(), value.into())])
    }

    /// Takes the gate, so that this program may change the file through another library, beside running writers. Waits
    /// for at most `timeout`, by default as long as for any other lock.
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
    /// **Concurrency.** While the gate is held, no process commits, changes the structure, or opens a writer or a reader:
    /// they wait, and go on afterwards. Readers that are open already go on. Programs that know nothing of h5part are not
    /// excluded; HDF5's own file lock keeps them apart from the library that has the file open. **Survives**: nothing is
    /// undone after a death. The kernel releases the gate, and the file is as the other library left it; so a change
    /// that another library has begun may be lost, or damage the file, as without h5part.
    ///
    /// Values of committed cells that are changed under the gate no longer match their stamps, and count as foreign: see
    /// [`Verify::accept_foreign`](crate::verify::Verify::accept_foreign).
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], which names the holder; those of [structural changes](Store#structural-changes).
    pub fn gate(&self, timeout: Option<Duration>) -> Result<Gate> {
        self.engine.gate(timeout).map(Gate::new)
    }

    /// Looks at everything: the structure, every value against its stamp, and what lies beside the file. What is wrong
    /// with the file is in the report. With [`Verify::repair`] it puts right what it understands.
    ///
    /// **Concurrency.** May run beside writers and readers. Structural changes wait while the structure is looked at.
    ///
    /// # Errors
    /// What says nothing of the file: [`ErrorKind::NotFound`], [`ErrorKind::LockTimeout`], I/O errors; in a repair
    /// those of [`CommitBuilder::run`](crate::CommitBuilder::run).
    pub fn verify(&self, how: &Verify) -> Result<Report> {
        self.engine.verify(how, &self.tell())
    }

    /// Publishes what is committed as the file `out`: a copy for readers, with everything else that the file holds.
    /// Published again, only chunks that changed are compressed again.
    ///
    /// **Concurrency.** Runs beside any number of writers and readers; of each row it takes all columns as one commit
    /// left them. Rows that are being overwritten are waited for. **Atomic**: the name stands for the old file, and
    /// after that for the new one; programs that have the old one open keep it. **Survives** a kill at any instant, with
    /// the old file or the new one; and loss of power, once it has returned.
    ///
    /// # Errors
    /// [`publish::ErrorKind::NotPublished`](crate::publish::ErrorKind::NotPublished) where `out` exists but was not published from this store;
    /// [`ErrorKind::ForeignChange`], [`ErrorKind::LockTimeout`], [`ErrorKind::NoSpace`], those of [`Store::reader`].
    /// `out` is as it was then.
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

/// Whether a table that exists is, at the least, the one that is wanted.
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
