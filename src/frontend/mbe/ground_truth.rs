//! The ground truth of a structure at one level of theory: what of it is there, and how it is prepared.

use super::names::{LEVELS_OF_THEORY, Method, Quantity};
use super::status::FrameStatus;
use super::structure::Structure;
use crate::dataspace::{ColumnSpec, Dtype, Table};
use crate::error::{ErrorKind, Result};
use crate::store::{Adopt, Adoption, Attribute, H5Change, NewTable};

/// Energies, forces and statuses of a structure at one level of theory.
#[derive(Clone, Debug)]
pub struct GroundTruth {
    structure: Structure,
    method: Method,
}

/// What is in the file of a ground truth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Whether there are statuses. Without them every frame counts as completed, as on the other side.
    pub status: bool,
    /// The quantities that have a dataset.
    pub quantities: Vec<Quantity>,
    /// Whether `h5part` looks after it: stamps, with the status as guard.
    pub guarded: bool,
}

/// What came of preparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Nothing was left to be done.
    AlreadyThere,
    /// Datasets were made.
    Made,
    /// What Python had made was given stamps; datasets may have been added.
    Adopted,
}

impl GroundTruth {
    pub(super) fn new(structure: Structure, method: Method) -> Self {
        Self { structure, method }
    }

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

    /// What of it is in the file.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::reader`].
    pub fn present(&self) -> Result<Present> {
        Ok(self.table()?.map_or_else(Present::default, |table| self.present_in(&table)))
    }

    /// The table as it is; `None` where nothing was computed yet, at any level of theory.
    pub(super) fn table(&self) -> Result<Option<Table>> {
        match self.structure.store().reader(&self.structure.table()) {
            Ok(reader) => Ok(Some(reader.table().clone())),
            Err(e) => match e.kind() {
                ErrorKind::NoSuchTable { .. } | ErrorKind::NotATable { what: "a group without columns", .. } => {
                    Ok(None)
                }
                _ => Err(e),
            },
        }
    }

    pub(super) fn present_in(&self, table: &Table) -> Present {
        let has = |name: &str| table.columns.iter().any(|column| column.name == name);
        let quantities = Quantity::ALL.into_iter().filter(|quantity| has(&quantity.dataset(&self.method)));
        let quantities: Vec<Quantity> = quantities.collect();
        let guarded = quantities.iter().all(|quantity| self.is_guarded(table, &quantity.dataset(&self.method)));
        Present { status: has(&self.method.status()), guarded: guarded && !quantities.is_empty(), quantities }
    }

    /// Whether a column has stamps, and the status as its guard.
    fn is_guarded(&self, table: &Table, column: &str) -> bool {
        let place = |name: &str| table.columns.iter().find(|c| c.name == name).and_then(|c| c.stamp);
        let guard = table.stamps.as_ref().and_then(|stamps| stamps.guard.as_ref());
        place(column).is_some() && guard.is_some_and(|guard| place(&self.method.status()) == Some(guard.place))
    }

    /// Makes what is missing of statuses (UNDEFINED) and of these quantities (NaN), and lists the method. What is
    /// there stays as it is; of what Python has made, completed frames count as committed.
    ///
    /// **Concurrency.** Any number of processes may call it at the same time, beside writers and beside Python, which
    /// is kept out by its own lock meanwhile. **Atomic** is each of its steps, a structural change (see
    /// [`crate::store::Store::change`]): making or adopting the datasets, listing the method. A call that was
    /// interrupted is made good by the next one.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] without quantities, and those of [`crate::store::Store::change`].
    pub fn prepare(&self, quantities: &[Quantity]) -> Result<Prepared> {
        if quantities.is_empty() {
            let text = "energies, forces or both are to be prepared".to_owned();
            return Err(ErrorKind::BadRequest(text).at("prepare", self.structure.store().path()));
        }
        let prepared = match self.table()? {
            None => match self.make(quantities) {
                // Another process was first.
                Err(e) if matches!(e.kind(), ErrorKind::TableExists(_)) => self.complete(quantities)?,
                other => other?,
            },
            Some(_) => self.complete(quantities)?,
        };
        self.list()?;
        Ok(prepared)
    }

    fn make(&self, quantities: &[Quantity]) -> Result<Prepared> {
        let status = self.method.status();
        let columns = [self.status_column()].into_iter().chain(quantities.iter().map(|&q| self.column(q))).collect();
        let table = NewTable {
            guard: Some(status),
            guard_complete: Some(FrameStatus::Completed.number().to_string()),
            attributes: vec![(LEVELS_OF_THEORY.to_owned(), Attribute::Texts(vec![self.method.name().to_owned()]))],
            ..NewTable::new(&self.structure.table(), self.structure.frames(), columns)
        };
        self.structure.store().create(&table, &|_, _| ())?;
        Ok(Prepared::Made)
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

    /// Where there is a table: stamps for what is this method's, and what is missing of it.
    fn complete(&self, quantities: &[Quantity]) -> Result<Prepared> {
        let Some(table) = self.table()? else { return self.make(quantities) };
        let present = self.present_in(&table);
        let missing: Vec<Quantity> = quantities.iter().copied().filter(|q| !present.quantities.contains(q)).collect();
        if present.guarded && missing.is_empty() {
            return Ok(Prepared::AlreadyThere);
        }
        if table.stamps.is_none() && present.status && missing.is_empty() {
            self.adopt()?;
            return Ok(Prepared::Adopted);
        }
        let text = "further columns in a ground truth that is there".to_owned();
        Err(ErrorKind::BadRequest(text).at("prepare", self.structure.store().path()))
    }

    fn adopt(&self) -> Result<()> {
        let how = Adoption {
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

    /// Makes sure that the method is listed, among those that others list meanwhile.
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
        ErrorKind::NoGroundTruth {
            key: self.structure.path().to_owned(),
            method: self.method.name().to_owned(),
            what,
            // Of an error, this is only to help.
            known: self.structure.methods().unwrap_or_default(),
        }
    }
}
