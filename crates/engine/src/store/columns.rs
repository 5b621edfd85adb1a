//! Adds columns to an existing table.

use super::change::Exclusive;
use super::handle::{Store, trim_slashes};
use super::stamping::Stamping;
use super::table_view::TableView;
use crate::h5::{GuardSpec, NewTable, planned_bytes};
use h5part_base::error::{At, ErrorKind, Result};

impl Store {
    /// Adds columns to a table, whoever made it. `columns` describes them like a table, with the path and the number of
    /// rows of the existing one. Its guard is one of the new columns and covers only them, or is a guard of the table
    /// and covers them as well. In a table of another program only the new columns get stamps: see [`Store::adopt`] for
    /// the others.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see [`Store::change`].
    /// Writers and readers of the table go on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyExists`], [`ErrorKind::BadColumn`], [`ErrorKind::BadRequest`]
    /// for another number of rows or too many columns, [`ErrorKind::NoSpace`], and those of [`Store::change`].
    pub fn add_columns(&self, columns: &NewTable) -> Result<()> {
        let columns = NewTable { path: trim_slashes(&columns.path).to_owned(), ..columns.clone() };
        self.try_add_columns(&columns).at("add columns to a table of", &self.paths.file)
    }

    fn try_add_columns(&self, new: &NewTable) -> Result<(), ErrorKind> {
        if self.view_of(&new.path)?.table.is_ahead() {
            self.take_in_rows(&new.path)?;
        }
        self.change_beside_readers(|exclusive| self.add_columns_exclusively(new, exclusive))
    }

    fn add_columns_exclusively(&self, new: &NewTable, exclusive: &Exclusive) -> Result<(), ErrorKind> {
        let view = TableView::load_inside(self, &new.path, exclusive.gate.file())?;
        let there = new.guard.as_ref().and_then(|name| view.table.column(name).ok());
        let there = there.and_then(|column| view.table.as_guard(column));
        match there {
            Some(_) => NewTable { guard: None, guard_complete: None, ..new.clone() }.check()?,
            None => new.check()?,
        }
        if new.rows != view.table.rows {
            let text = format!("table '{}' has {} rows, but the columns have {}", new.path, view.table.rows, new.rows);
            return Err(ErrorKind::BadRequest(text));
        }
        let names: Vec<String> = new.columns.iter().map(|column| column.name.clone()).collect();
        let guard = new.guard_spec().map(|guard| GuardSpec { covers: Some(names.clone()), ..guard });
        let there = there.map(|guard| GuardSpec::of(guard, &view.table.columns)).transpose()?;
        let guard = guard.or(there);
        let stamping = Stamping::new(&view.table, &names, guard)?;
        self.check_room(planned_bytes(new).saturating_add(stamping.bytes()), new.rows)?;
        self.change_exclusively(exclusive, |site| {
            site.h5.add_columns(new)?;
            stamping.make(site).map(|_| ())
        })
    }
}
