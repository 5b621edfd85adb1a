//! Adoption: gives stamps to tables that other programs made.

mod plan;
mod summing;

use super::change::Exclusive;
use super::create::Progress;
use super::handle::{Store, trim_slashes};
use super::stamping::Stamping;
use super::table_view::TableView;
use crate::h5::{Attribute, H5File};
use h5part_base::dataspace::refuse_reserved;
use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_base::record::stamp::Seed;
use plan::Plan;
use summing::{Sink, Summing};
use uuid::Uuid;

/// Which cells of an adopted table count as committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Adopt {
    /// Those that were written, according to the file: see "Adopting" in the design.
    #[default]
    Evidence,
    /// All cells.
    All,
    /// Cells that do not hold fill; the others are "not there".
    NonFill,
    /// Cells of rows in which one column holds a given value. The others have no value, except that what the guard
    /// column says of them is kept.
    Where {
        /// The column. It has one value per row.
        column: String,
        /// Text of the value.
        value: String,
    },
}

/// The result of an adoption.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Adopted {
    /// Number of rows.
    pub rows: u64,
    /// Columns that have stamps now.
    pub columns: Vec<String>,
    /// For each of them, what was decided about its cells.
    pub decisions: Vec<Decision>,
    /// Datasets of the group that got no stamps. They stay as they are.
    pub without_stamps: Vec<String>,
    /// The reason for each of these.
    pub reasons: Vec<String>,
    /// Cells that count as committed.
    pub committed: u64,
    /// Bytes of values that were read.
    pub bytes: u64,
    /// Whether nothing was changed. The other fields then say what an adoption would do.
    pub dry_run: bool,
}

/// What was decided about the cells of a column.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// Name of the column.
    pub column: String,
    /// Cells that count as committed.
    pub committed: u64,
    /// Cells that do not count.
    pub not_there: u64,
    /// The reason.
    pub because: String,
    /// How the stamps differ from those that the column had before.
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
    /// The columns that get stamps. They may be further columns of a table that has stamps already. `None`: all columns
    /// that can get stamps, of a table that has none.
    pub columns: Option<Vec<String>>,
    /// Which cells count as committed.
    pub committed: Adopt,
    /// The name of the guard column of these columns, and the text of its undefined value. It is one of them, or a
    /// guard of the table already.
    pub guard: Option<(String, String)>,
    /// Text of the guard's value in complete rows. Default: the value of [`Adopt::Where`], if its column is the guard.
    pub guard_complete: Option<String>,
    /// Attributes to set on the table's group.
    pub attributes: Vec<(String, Attribute)>,
    /// Replace stamps that exist: those of [`Adoption::columns`], or of the whole table. The table keeps its guards
    /// unless another one is named. Cells of unfinished commits are "not there" afterwards.
    pub again: bool,
    /// Report what would be done, and change nothing.
    pub dry_run: bool,
}

impl Store {
    /// Gives stamps to columns that another program made: those of a whole table, or further ones. Datasets keep their
    /// chunks and filters. Every value is read and summed, in parallel where columns are direct. Datasets that cannot
    /// get stamps stay as they are; the result names them.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see [`Store::change`]. A dry run
    /// only reads, and keeps row commits waiting no longer than a reader does.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] unless `again`, [`ErrorKind::NotFound`],
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
            let view = TableView::load(self, table)?;
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
        let view = TableView::load_inside(self, table, exclusive.gate.file())?;
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
                (None, None) => return Err(ErrorKind::Unstamped(Item::Table(table.to_owned()))),
            };
            let seed = |column: &plan::Adoptee<'_>| Seed::new(&uuid, stamps.table, column.place);
            let seeds = plan.columns.iter().map(seed).collect();
            let sink = Sink { file: site.file, stamps: &stamps };
            let adopted = Summing::new(self, &view, &plan, seeds, Some(sink)).run(progress)?;
            // The old stamps are dropped last: they are still read, and the library reuses freed space.
            if let (Some(_), Some(before)) = (&plan.anew, &view.table.stamps) {
                site.h5.drop_stamps(before.table)?;
            }
            Ok(adopted)
        })
    }

    fn plan_adoption<'a>(&self, view: &'a TableView, how: &'a Adoption) -> Result<Plan<'a>, ErrorKind> {
        if view.table.stamps.is_some() && how.columns.is_none() && !how.again {
            return Err(ErrorKind::AlreadyExists(Item::Stamps(view.table.path.clone())));
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

/// The uuid for stamps of a dry run.
const NOBODY: Uuid = Uuid::nil();
