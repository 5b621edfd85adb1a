//! Tables that others made get stamps.

mod plan;
mod summing;

use super::change::Exclusive;
use super::create::Progress;
use super::handle::{Store, trim_slashes};
use super::stamping::Stamping;
use super::table_view::TableView;
use crate::h5::{Attribute, H5File};
use h5part_base::dataspace::refuse_reserved;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::record::stamp::Seed;
use h5part_base::storage::Mode;
use plan::Plan;
use summing::{Sink, Summing};
use uuid::Uuid;

/// Which cells of an adopted table count as committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Adopt {
    /// Those that were written, as far as the file tells: see "Adopting" in the design.
    #[default]
    Evidence,
    /// All.
    All,
    /// Those that hold anything but fill; the others are not there.
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
    /// How the cells of each of them were told apart, and how many there are of each kind.
    pub decisions: Vec<Decision>,
    /// Datasets of the group that got no stamps: carried along untouched.
    pub without_stamps: Vec<String>,
    /// The reason for each of these.
    pub reasons: Vec<String>,
    /// Cells that count as committed.
    pub committed: u64,
    /// Bytes of values that were read.
    pub bytes: u64,
    /// Nothing was changed: this is what an adoption would do.
    pub dry_run: bool,
}

/// What was decided about the cells of a column.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// Name of the column.
    pub column: String,
    /// Cells that count as committed.
    pub committed: u64,
    /// Cells that do not.
    pub not_there: u64,
    /// Why.
    pub because: String,
    /// What became of cells that had stamps before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

/// How the new stamps of a column differ from those that it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Before {
    /// Cells that were committed.
    pub committed: u64,
    /// Cells that were committed and are no longer.
    pub no_longer: u64,
    /// Cells that were not committed and are now.
    pub newly: u64,
    /// Cells that another program had changed after they were committed, and whose values are taken as they are.
    pub changed: u64,
}

/// How a table is adopted.
#[derive(Clone, Debug, Default)]
pub struct Adoption {
    /// The columns that get stamps; they may be further ones of a table that has stamps already. `None`: all that can
    /// get some, of a table that has none.
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
    /// Columns that have stamps get new ones: those of [`Adoption::columns`], or the whole table, which keeps its
    /// guards unless another one is named. What a commit left unfinished is not there afterwards.
    pub again: bool,
    /// Say what would be done, and change nothing.
    pub dry_run: bool,
}

impl Store {
    /// Gives stamps to columns that another program made: those of a whole table, or further ones. Datasets stay as
    /// they are, with their chunks and filters; every value is read and summed, direct columns in parallel. Datasets
    /// that cannot get stamps are left as they are, and named.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see
    /// [`Store::change`]. A dry run only reads, and keeps row commits waiting no longer than a reader does.
    ///
    /// # Errors
    /// [`ErrorKind::Adopted`] unless `again`, [`ErrorKind::NotFound`],
    /// [`ErrorKind::BadRequest`] for a guard or a value that does not fit, or for a column that cannot get stamps, and
    /// those of [`Store::change`].
    pub fn adopt(&self, table: &str, how: &Adoption, progress: Progress<'_>) -> Result<Adopted> {
        self.try_adopt(trim_slashes(table), how, progress).at("adopt a table of", &self.paths.file)
    }

    fn try_adopt(&self, table: &str, how: &Adoption, progress: Progress<'_>) -> Result<Adopted, ErrorKind> {
        let columns = how.columns.iter().flatten().map(String::as_str);
        let attributes = how.attributes.iter().map(|(name, _)| name.as_str());
        columns.chain(attributes).chain([table]).try_for_each(refuse_reserved)?;
        if how.dry_run {
            let _gate = self.enter_to_read()?;
            let view = TableView::load(self, table, Mode::Read)?;
            let plan = self.plan_adoption(&view, how)?;
            return Summing::new(self, &view, &plan, Vec::new(), None).run(progress);
        }
        if self.view_of(table)?.table.is_ahead() {
            self.take_in_rows(table)?;
        }
        self.change_beside_readers(|exclusive| self.adopt_exclusively(table, how, progress, exclusive))
    }

    fn adopt_exclusively(
        &self,
        table: &str,
        how: &Adoption,
        progress: Progress<'_>,
        exclusive: &Exclusive,
    ) -> Result<Adopted, ErrorKind> {
        let view = TableView::load(self, table, Mode::Write)?;
        let plan = self.plan_adoption(&view, how)?;
        let stamping = match (&plan.anew, plan.further.is_empty()) {
            (Some(without), _) => Some(Stamping::anew(without, &plan.further, plan.guards.clone())?),
            (None, true) => None,
            (None, false) => Some(Stamping::new(&view.table, &plan.further, plan.guards.first().cloned())?),
        };
        self.check_room(stamping.as_ref().map_or(0, Stamping::bytes), view.table.rows)?;
        self.change_exclusively(exclusive, |site| {
            let uuid = site.h5.ensure_uuid()?;
            site.h5.set_attributes(table, &how.attributes)?;
            let stamps = match (&stamping, &view.table.stamps) {
                (Some(stamping), _) => stamping.make(site)?,
                (None, Some(stamps)) => stamps.clone(),
                (None, None) => return Err(ErrorKind::Unstamped(table.to_owned())),
            };
            let seed = |column: &plan::Adoptee<'_>| Seed::new(&uuid, stamps.table, column.place);
            let seeds = plan.columns.iter().map(seed).collect();
            let sink = Sink { file: site.file, stamps: &stamps };
            let adopted = Summing::new(self, &view, &plan, seeds, Some(sink)).run(progress)?;
            // The old ones go last: the space of what is gone is used again, and they are still to be read.
            if let (Some(_), Some(before)) = (&plan.anew, &view.table.stamps) {
                site.h5.drop_stamps(before.table)?;
            }
            Ok(adopted)
        })
    }

    fn plan_adoption<'a>(&self, view: &'a TableView, how: &'a Adoption) -> Result<Plan<'a>, ErrorKind> {
        if view.table.stamps.is_some() && how.columns.is_none() && !how.again {
            return Err(ErrorKind::Adopted(view.table.path.clone()));
        }
        let candidates = H5File::open(&view.file, &self.paths.file)?.candidates(&view.table)?;
        Plan::new(view, how, candidates)
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

/// For stamps that are made up and forgotten.
const NOBODY: Uuid = Uuid::nil();
