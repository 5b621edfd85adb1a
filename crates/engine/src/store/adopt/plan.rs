//! Plans an adoption: the columns, their places, and which of their cells count.

use super::{Adopt, Adoption};
use crate::h5::{Candidate, Evidence, GuardSpec, MOST_COLUMNS, Stored, TOO_MANY_COLUMNS};
use crate::store::stamping::{first_place, guards_of};
use crate::store::table_view::TableView;
use h5part_base::dataspace::{Column, Dtype, Table};
use h5part_base::error::{ErrorKind, Item};

/// The plan of an adoption.
pub(super) struct Plan<'a> {
    pub(super) columns: Vec<Adoptee<'a>>,
    /// Names and reasons of the datasets that get no stamps.
    pub(super) left_out: Vec<(String, String)>,
    pub(super) rule: Rule<'a>,
    /// The table without its stamps, if all of them are made anew.
    pub(super) anew: Option<Table>,
    /// Names of the columns that get a new place.
    pub(super) further: Vec<String>,
    /// The guards to create or extend.
    pub(super) guards: Vec<GuardSpec>,
}

/// A column that gets stamps.
pub(super) struct Adoptee<'a> {
    pub(super) column: &'a Column,
    pub(super) place: usize,
    pub(super) evidence: Evidence,
    /// If it is a guard, what it holds in rows that are not complete.
    pub(super) undefined: Option<Vec<u8>>,
}

/// Which cells count as committed.
pub(super) enum Rule<'a> {
    Evidence,
    All,
    NonFill,
    Where { column: &'a Column, value: Vec<u8> },
}

impl<'a> Plan<'a> {
    pub(super) fn new(view: &'a TableView, how: &'a Adoption, candidates: Vec<Candidate>) -> Result<Self, ErrorKind> {
        let table = &view.table;
        let (chosen, left_out) = choose(table, how, candidates)?;
        let whole = how.again && how.columns.is_none();
        let anew = whole.then(|| without_stamps(table));
        let mut next = anew.as_ref().map_or_else(|| first_place(table), first_place);
        let (mut columns, mut further) = (Vec::new(), Vec::new());
        for (column, evidence) in chosen {
            let place = if let Some(place) = column.stamp.filter(|_| !whole) {
                place
            } else {
                further.push(column.name.clone());
                next += 1;
                next - 1
            };
            let undefined = table.as_guard(column).map(|guard| guard.undefined.clone());
            columns.push(Adoptee { column, place, evidence, undefined });
        }
        if columns.len() > MOST_COLUMNS {
            let text = format!(
                "a table has stamps for {MOST_COLUMNS} columns at most, and this would be {}; name some of them, or \
                 {TOO_MANY_COLUMNS}",
                columns.len()
            );
            return Err(ErrorKind::BadRequest(text));
        }
        let rule = match &how.committed {
            Adopt::Evidence => Rule::Evidence,
            Adopt::All => Rule::All,
            Adopt::NonFill => Rule::NonFill,
            Adopt::Where { column, value } => {
                let (column, value) = element(view, column, value)?;
                Rule::Where { column, value }
            }
        };
        let mut plan = Self { columns, left_out, rule, anew, further, guards: Vec::new() };
        plan.guard(view, how)?;
        Ok(plan)
    }

    fn guard(&mut self, view: &TableView, how: &Adoption) -> Result<(), ErrorKind> {
        let request = |text: String| Err(ErrorKind::BadRequest(text));
        let Some((name, undefined_text)) = &how.guard else {
            if self.anew.is_some() {
                self.guards = guards_of(&view.table)?;
                self.guards.retain(|guard| self.further.contains(&guard.name));
                for covers in self.guards.iter_mut().filter_map(|guard| guard.covers.as_mut()) {
                    covers.retain(|name| self.further.contains(name));
                }
            }
            return Ok(());
        };
        let (column, undefined) = element(view, name, undefined_text)?;
        let spec = GuardSpec {
            name: name.clone(),
            undefined: undefined_text.clone(),
            complete: how.complete().map(str::to_owned),
            covers: Some(self.further.clone()),
        };
        if !self.further.contains(name) {
            return match view.table.as_guard(column) {
                Some(guard) if guard.undefined == undefined => {
                    self.guards.push(spec);
                    Ok(())
                }
                Some(_) => request(format!("the guard '{name}' has another undefined value")),
                None => request(format!("the guard '{name}' is not one of the columns that get stamps")),
            };
        }
        let complete = how.complete().map(|text| element(view, name, text)).transpose()?;
        if complete.is_some_and(|(_, bytes)| bytes == undefined) {
            return request("the guard's undefined value cannot be that of complete rows".to_owned());
        }
        for adoptee in &mut self.columns {
            adoptee.undefined = (adoptee.column.name == *name).then(|| undefined.clone());
        }
        self.guards.push(spec);
        Ok(())
    }
}

type Chosen<'a> = (Vec<(&'a Column, Evidence)>, Vec<(String, String)>);

/// Chooses the columns that get stamps, and says why the others do not.
fn choose<'a>(table: &'a Table, how: &Adoption, candidates: Vec<Candidate>) -> Result<Chosen<'a>, ErrorKind> {
    let (mut chosen, mut left_out) = (Vec::new(), Vec::new());
    if let Some(names) = &how.columns {
        for (k, name) in names.iter().enumerate() {
            if names[..k].contains(name) {
                return Err(ErrorKind::BadRequest(format!("column '{name}' is named twice")));
            }
            let evidence = candidates.iter().find(|candidate| candidate.name == *name).map(|c| c.evidence.clone());
            let column = match (table.column(name), evidence) {
                (Ok(column), Some(Ok(evidence))) => (column, evidence),
                (Ok(Column { dtype: Err(_), .. }), _) | (Err(_), None) => return Err(unknown(table, name)),
                (_, Some(Err(reason))) => return Err(refused(name, &reason)),
                (Ok(_), None) => return Err(refused(name, "it is not a dataset of the group")),
                (Err(e), Some(Ok(_))) => return Err(e),
            };
            if column.0.stamp.is_some() && !how.again {
                return Err(ErrorKind::AlreadyExists(Item::Stamps(format!("{}/{name}", table.path))));
            }
            chosen.push(column);
        }
        return Ok((chosen, left_out));
    }
    for Candidate { name, evidence } in candidates {
        match (evidence, table.column(&name)) {
            (Ok(evidence), Ok(column)) => chosen.push((column, evidence)),
            (Err(reason), _) => left_out.push((name, reason)),
            (Ok(_), Err(_)) => {}
        }
    }
    if chosen.is_empty() {
        let reasons: Vec<String> =
            left_out.iter().take(8).map(|(name, reason)| format!("'{name}': {reason}")).collect();
        return Err(ErrorKind::NothingToAdopt(reasons.join("; ")));
    }
    Ok((chosen, left_out))
}

fn unknown(table: &Table, name: &str) -> ErrorKind {
    match table.column(name).map(Column::dtype) {
        Ok(Err(e)) | Err(e) => e,
        Ok(Ok(_)) => refused(name, "it is not a dataset of the group"),
    }
}

fn refused(name: &str, reason: &str) -> ErrorKind {
    ErrorKind::BadRequest(format!("column '{name}' cannot get stamps: {reason}"))
}

/// The table as if it had no stamps.
fn without_stamps(table: &Table) -> Table {
    let columns = table.columns.iter().map(|column| Column { stamp: None, ..column.clone() }).collect();
    Table { stamps: None, columns, ..table.clone() }
}

/// A column with one value per row, and the bytes of such a value.
fn element<'a>(view: &'a TableView, name: &str, value: &str) -> Result<(&'a Column, Vec<u8>), ErrorKind> {
    let column = view.table.column(name)?;
    let dtype: Dtype = column.dtype()?;
    let bytes = dtype.parse_element(value).filter(|_| column.shape.is_empty());
    let bad = || ErrorKind::BadRequest(format!("column '{name}' does not hold values like '{value}', one per row"));
    Ok((column, bytes.ok_or_else(bad)?))
}

impl Adoptee<'_> {
    /// Whether a cell was written, according to the file.
    pub(super) fn was_written(&self, row: u64, bytes: &[u8]) -> bool {
        let dtype = self.column.dtype.as_ref().ok().copied();
        self.evidence.stored.contains(row) && !self.evidence.marks.iter().any(|mark| is_only(bytes, mark, dtype))
    }

    /// Explains which of its cells count.
    pub(super) fn because(&self, rule: &Rule<'_>) -> String {
        let Evidence { marks, stored, .. } = &self.evidence;
        match rule {
            Rule::All => return "as asked for: every cell counts".to_owned(),
            Rule::NonFill => return "as asked for: cells that hold fill do not count".to_owned(),
            Rule::Where { column, value } => {
                let value = column.dtype.as_ref().map(|dtype| dtype.format_element(value)).unwrap_or_default();
                return format!("as asked for: cells of rows without {}={value} do not count", column.name);
            }
            Rule::Evidence => {}
        }
        if self.undefined.is_some() {
            return "the guard: every value except its undefined one counts".to_owned();
        }
        let dtype = self.column.dtype.as_ref().ok();
        let marks: Vec<String> = marks.iter().filter_map(|mark| Some(dtype?.format_element(mark))).collect();
        let marked = format!("cells that hold its fill value ({}) are not there", marks.join(", "));
        match (stored, marks.is_empty()) {
            (Stored::Only(rows), _) if rows.is_empty() => "nothing was ever written to it".to_owned(),
            (Stored::Only(_), true) => "rows in chunks that were never written are not there; zeros in the others are \
                                        values"
                .to_owned(),
            (Stored::Only(_), false) => format!("rows in chunks that were never written are not there; {marked}"),
            (Stored::All, true) => "written, and without a fill value of its own: zeros are values".to_owned(),
            (Stored::All, false) => marked,
        }
    }
}

/// Whether all elements of a cell equal this one. All NaNs count as equal.
fn is_only(cell: &[u8], mark: &[u8], dtype: Option<Dtype>) -> bool {
    let is_nan = |element: &[u8]| dtype.is_some_and(|dtype| dtype.is_nan(element));
    let any_nan = is_nan(mark);
    !cell.is_empty() && cell.chunks(mark.len().max(1)).all(|element| element == mark || (any_nan && is_nan(element)))
}
