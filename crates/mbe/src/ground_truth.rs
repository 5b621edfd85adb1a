//! The ground truth of a structure at one level of theory: what exists of it, and how to prepare it.

use super::names::{LEVELS_OF_THEORY, Method, Quantity};
use super::status::FrameStatus;
use super::structure::Structure;
use h5part_base::dataspace::{ColumnSpec, Dtype, Table, shape_text};
use h5part_base::error::{At, ErrorKind, Gone, Item, Result};
use h5part_base::num::to_usize;
use h5part_base::storage::StorageFile;
use h5part_engine::h5::H5File;
use h5part_engine::store::{Adopt, Adoption, Attribute, H5Change, NewArray, NewTable};

/// Preparing fails if more than this many others prepare the same at the same time.
const TRIES: u32 = 100;

/// Energies, forces and statuses of a structure at one level of theory.
#[derive(Clone, Debug)]
pub struct GroundTruth {
    structure: Structure,
    method: Method,
}

/// What exists of a ground truth in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Whether there are statuses. Without them every frame counts as completed, as in Python.
    pub status: bool,
    /// The quantities that have a dataset.
    pub quantities: Vec<Quantity>,
    /// Whether `h5part` manages it: it has stamps, and the status is the guard.
    pub guarded: bool,
}

/// The result of preparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Nothing had to be done.
    AlreadyThere,
    /// Datasets were created.
    Made,
    /// Python's datasets got stamps. Datasets may have been added.
    Adopted,
}

impl Structure {
    /// The ground truth at a level of theory, which need not exist yet.
    #[must_use]
    pub fn ground_truth(&self, method: &Method) -> GroundTruth {
        GroundTruth { structure: self.clone(), method: method.clone() }
    }
}

impl GroundTruth {
    /// The structure.
    #[must_use]
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// The level of theory.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What exists of it in the file.
    ///
    /// # Errors
    /// Those of [`h5part_engine::store::Store::reader`].
    pub fn present(&self) -> Result<Present> {
        Ok(self.table()?.map_or_else(Present::default, |table| self.present_in(&table)))
    }

    /// The table in its current state. `None`: nothing was computed yet, at any level of theory. Checks that existing
    /// datasets of this method are valid.
    pub(super) fn table(&self) -> Result<Option<Table>> {
        let path = self.structure.table();
        let look = |h5: &H5File, file: &dyn StorageFile| match h5.table(&path, file).map_err(ErrorKind::from) {
            Ok((table, _)) => self.check(h5, &table).map(|()| Some(table)),
            Err(
                ErrorKind::NotFound { what: Item::Table(_), .. }
                | ErrorKind::WrongObject { found: "a group without columns", .. },
            ) => Ok(None),
            Err(e) => Err(e),
        };
        self.structure.store().with_h5(look).at("read", self.structure.store().path())
    }

    /// Checks that datasets with the names of this method are what those names say.
    fn check(&self, h5: &H5File, table: &Table) -> Result<(), ErrorKind> {
        for spec in [self.status_column(), self.column(Quantity::Energies), self.column(Quantity::Forces)] {
            let text = |dtype: &str, rows: u64, cell: &[u64]| {
                format!("{dtype} of shape {}", shape_text(&[&[rows], cell].concat()))
            };
            let found = match table.column(&spec.name) {
                Ok(column) => {
                    let dtype = column.dtype.as_ref().map_or_else(Clone::clone, ToString::to_string);
                    text(&dtype, table.rows, &column.shape)
                }
                // Only datasets with the most common number of rows are columns.
                Err(_) if h5.object(&format!("{}/{}", table.path, spec.name)).is_ok() => {
                    format!("no dataset of {} rows", self.structure.frames())
                }
                Err(_) => continue,
            };
            let expected = text(&spec.dtype.to_string(), self.structure.frames(), &spec.shape);
            if found != expected {
                return Err(crate::ErrorKind::UnfitDataset { name: spec.name, found, expected }.into());
            }
        }
        Ok(())
    }

    pub(super) fn present_in(&self, table: &Table) -> Present {
        let has = |name: &str| table.columns.iter().any(|column| column.name == name);
        let quantities = Quantity::ALL.into_iter().filter(|quantity| has(&quantity.dataset(&self.method)));
        let quantities: Vec<Quantity> = quantities.collect();
        let guarded = quantities.iter().all(|quantity| self.is_guarded(table, &quantity.dataset(&self.method)));
        Present { status: has(&self.method.status()), guarded: guarded && !quantities.is_empty(), quantities }
    }

    /// Whether a column has stamps, with the status as its guard.
    fn is_guarded(&self, table: &Table, name: &str) -> bool {
        let column = |name: &str| table.columns.iter().find(|column| column.name == name);
        let guard = column(name).and_then(|column| table.guard_of(column));
        guard.is_some_and(|guard| column(&self.method.status()).and_then(|status| status.stamp) == Some(guard.place))
    }

    /// Creates missing statuses (UNDEFINED) and missing datasets of these quantities (NaN), and lists the method.
    /// Existing datasets are kept. In those that Python made, completed frames count as committed.
    ///
    /// **Concurrency.** Any number of processes may call it at the same time, beside writers and beside Python, which
    /// its own lock keeps out meanwhile. **Atomic**: each of its steps, which are structural changes (see
    /// [`h5part_engine::store::Store::change`]): making or adopting the datasets, and listing the method. The next call
    /// completes one that was interrupted.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] without quantities; [`crate::ErrorKind::UnfitDataset`]: a dataset of this method has
    /// another type or shape, and nothing was changed; and those of [`h5part_engine::store::Store::change`].
    pub fn prepare(&self, quantities: &[Quantity]) -> Result<Prepared> {
        if quantities.is_empty() {
            let text = "select energies, forces or both".to_owned();
            return Err(ErrorKind::BadRequest(text).at("prepare", self.structure.store().path()));
        }
        let mut prepared = Prepared::AlreadyThere;
        for _ in 0..TRIES {
            match self.step(quantities) {
                Ok(None) => {
                    self.list()?;
                    return Ok(prepared);
                }
                Ok(Some(done)) => prepared = if prepared == Prepared::Adopted { prepared } else { done },
                // Another process was first. The next look shows what is left to do.
                Err(e) if is_there_already(e.kind()) => {}
                Err(e) => return Err(e),
            }
        }
        Err(ErrorKind::Replaced(Gone::File).at("prepare", self.structure.store().path()))
    }

    /// Takes the next step, which is a structural change. `None`: nothing is left to do.
    fn step(&self, quantities: &[Quantity]) -> Result<Option<Prepared>> {
        let store = self.structure.store();
        let Some(table) = self.table()? else {
            let levels = Attribute::Texts(vec![self.method.name().to_owned()]);
            let attributes = vec![(LEVELS_OF_THEORY.to_owned(), levels)];
            store.create(&NewTable { attributes, ..self.columns(true, quantities) }, &|_, _| ())?;
            return Ok(Some(Prepared::Made));
        };
        let present = self.present_in(&table);
        if !present.status && !present.quantities.is_empty() {
            self.complete_all()?;
            return Ok(Some(Prepared::Adopted));
        }
        let mut names = vec![self.method.status()];
        names.extend(present.quantities.iter().map(|quantity| quantity.dataset(&self.method)));
        let stamped = |name: &String| table.columns.iter().any(|c| c.name == *name && c.stamp.is_some());
        names.retain(|name| !stamped(name));
        if present.status && !names.is_empty() {
            self.adopt(names)?;
            return Ok(Some(Prepared::Adopted));
        }
        let missing: Vec<Quantity> = quantities.iter().copied().filter(|q| !present.quantities.contains(q)).collect();
        if missing.is_empty() && !present.guarded {
            let text = "its columns have stamps, but not their status as guard: they were adopted without a guard";
            return Err(ErrorKind::BadRequest(text.to_owned()).at("prepare", store.path()));
        }
        if missing.is_empty() {
            return Ok(None);
        }
        store.add_columns(&self.columns(!present.status, &missing))?;
        Ok(Some(Prepared::Made))
    }

    /// Columns to create: quantities of this method, and its statuses if it has none.
    fn columns(&self, status: bool, quantities: &[Quantity]) -> NewTable {
        let status = status.then(|| self.status_column());
        let columns = status.into_iter().chain(quantities.iter().map(|&quantity| self.column(quantity))).collect();
        NewTable {
            guard: Some(self.method.status()),
            guard_complete: Some(FrameStatus::Completed.number().to_string()),
            ..NewTable::new(&self.structure.table(), self.structure.frames(), columns)
        }
    }

    fn status_column(&self) -> ColumnSpec {
        let undefined = FrameStatus::Undefined.number().to_le_bytes().to_vec();
        ColumnSpec { fill: undefined, ..ColumnSpec::new(&self.method.status(), Dtype::I64, &[]) }
    }

    fn column(&self, quantity: Quantity) -> ColumnSpec {
        let shape = match quantity {
            Quantity::Energies => vec![],
            Quantity::Forces => vec![self.structure.atoms(), 3],
        };
        ColumnSpec::new(&quantity.dataset(&self.method), Dtype::F64, &shape)
    }

    /// Adds statuses to a method without them. Until now all of its frames counted as completed.
    fn complete_all(&self) -> Result<()> {
        let frames = self.structure.frames();
        let zeros = |frames: u64| Ok(vec![0; to_usize(frames * 8)]);
        let (name, table) = (self.method.status(), self.structure.table());
        self.structure.store().change(|h5: &H5Change| {
            let mut statuses = NewArray { name, dtype: Dtype::I64, shape: vec![frames], values: Box::new(zeros) };
            h5.add_array(&table, &mut statuses)
        })
    }

    /// Gives stamps to what Python has made of this method.
    fn adopt(&self, names: Vec<String>) -> Result<()> {
        let how = Adoption {
            columns: Some(names),
            committed: Adopt::Where {
                column: self.method.status(),
                value: FrameStatus::Completed.number().to_string(),
            },
            guard: Some((self.method.status(), FrameStatus::Undefined.number().to_string())),
            ..Adoption::default()
        };
        self.structure.store().adopt(&self.structure.table(), &how, &|_, _| ())?;
        Ok(())
    }

    /// Lists the method, beside methods that others list meanwhile.
    fn list(&self) -> Result<()> {
        let listed = |names: &[String]| names.iter().any(|name| name == self.method.name());
        if listed(&self.structure.methods()?) {
            return Ok(());
        }
        let table = self.structure.table();
        self.structure.store().change(|h5: &H5Change| {
            let mut names = match h5.attribute(&table, LEVELS_OF_THEORY)? {
                Some(Attribute::Texts(names)) => names,
                _ => Vec::new(),
            };
            if !listed(&names) {
                names.push(self.method.name().to_owned());
                names.sort_unstable();
            }
            h5.set_attributes(&table, &[(LEVELS_OF_THEORY.to_owned(), Attribute::Texts(names))])
        })
    }

    pub(super) fn missing(&self, what: &'static str) -> ErrorKind {
        let (key, method) = (self.structure.path().to_owned(), self.method.name().to_owned());
        crate::ErrorKind::NoGroundTruth { key, method, what, known: self.known() }.into()
    }

    /// The methods that exist in part at least, whether listed or not. This is only for error messages.
    fn known(&self) -> Vec<String> {
        let Ok(Some(table)) = self.table() else { return Vec::new() };
        let mut names = self.structure.methods().unwrap_or_default();
        names.retain(|name| {
            let truth = Method::new(name).map(|method| self.structure.ground_truth(&method).present_in(&table));
            truth.is_ok_and(|present| present.status || !present.quantities.is_empty())
        });
        names
    }
}

/// Whether someone else has created it first.
fn is_there_already(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::AlreadyExists(Item::Table(_) | Item::Column { .. } | Item::Stamps(_)))
}
