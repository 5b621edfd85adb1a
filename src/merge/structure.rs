//! What the merged file lacks: tables, and what else the inputs hold.

use super::plan::{Found, Joined};
use super::{Merged, build};
use crate::dataspace::Table;
use crate::error::{At, ErrorKind, Result};
use crate::h5::{Allocation, Compression, Copying, H5Change, Shell, ShellLayout};
use crate::store::{Building, Store};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

/// What is merged: the files, what was found in them, and the tables that are merged by rows.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) out: &'a Store,
    pub(super) inputs: &'a [Store],
    pub(super) found: &'a [Found],
    pub(super) tables: &'a [Joined],
}

/// Makes the file, whole and with all rows, or adds to one that is there what it lacks, without rows.
pub(super) fn complete(plan: Plan<'_>, progress: &mut dyn FnMut(u64)) -> Result<Merged> {
    let Plan { out, inputs, tables, .. } = plan;
    let planned = tables.iter().map(|joined| joined.rows * joined.row_bytes).sum();
    let mut merged = Merged::default();
    let Some(first) = inputs.first() else { return Ok(merged) };
    // Which file failed is known inside only.
    let mut failed: Option<PathBuf> = None;
    let mut build = |building: &Building<'_>| {
        let filled = plan.copy_all(building.h5(), true, &mut merged).and_then(|()| {
            building.h5().flush().at("create", out.path())?;
            merged.tables = build::fill(building, plan, progress)?;
            Ok(())
        });
        filled.map_err(|e| {
            failed = Some(e.path().to_owned());
            e.into_kind()
        })
    };
    let created = out.build_like(first, planned, &mut build);
    let outcome = match created {
        Ok(true) => return Ok(Merged { created: true, ..merged }),
        Ok(false) => out.change(|h5| {
            plan.copy_all(h5, false, &mut merged).map_err(|e| {
                failed = Some(e.path().to_owned());
                e.into_kind()
            })
        }),
        Err(e) => Err(e),
    };
    match (outcome, failed) {
        (Ok(()), _) => Ok(merged),
        (Err(e), Some(path)) => Err(e.into_kind().at("merge", path)),
        (Err(e), None) => Err(e),
    }
}

impl Plan<'_> {
    /// Copies what the file lacks. `new`: nothing is in it yet.
    fn copy_all(self, h5: &H5Change, new: bool, merged: &mut Merged) -> Result<()> {
        h5.ensure_uuid().at("change", self.out.path())?;
        // Also what another merge has made since the files were looked at.
        let is_there = |joined: &&Joined| joined.is_there || (!new && h5.is_stamped(&joined.path));
        let mut there: HashSet<&str> = self.tables.iter().filter(is_there).map(|j| j.path.as_str()).collect();
        for (k, input) in self.inputs.iter().enumerate() {
            let Some(found) = self.found.iter().find(|found| found.input == Some(k)) else { continue };
            let has = |joined: &&Joined| joined.sources.iter().any(|source| source.input == k);
            let lacking: Vec<&Joined> =
                self.tables.iter().filter(has).filter(|j| !there.contains(j.path.as_str())).collect();
            copy_from(h5, (input, &found.tables), &lacking, self.tables, merged).at("merge", input.path())?;
            there.extend(lacking.iter().map(|joined| joined.path.as_str()));
        }
        Ok(())
    }
}

fn copy_from(
    h5: &H5Change,
    (input, sources): (&Store, &BTreeMap<String, Table>),
    new: &[&Joined],
    tables: &[Joined],
    merged: &mut Merged,
) -> Result<(), ErrorKind> {
    let shells = new.iter().flat_map(|joined| joined.columns.iter().map(|column| shell(&joined.path, column)));
    let copying = Copying { shells: shells.collect(), stamps: false };
    let copied = input.look(|from, _| h5.copy_structure(from, &copying))?;
    let is_shell = |path: &str| copying.shells.iter().any(|shell| shell.path == path.trim_start_matches('/'));
    if let Some((path, why)) = copied.left_out.iter().find(|(path, _)| is_shell(path)) {
        return Err(ErrorKind::Hdf5(format!("{path} cannot be made: {why}")));
    }
    for joined in new {
        let source = sources.get(&joined.path);
        let source = source.ok_or_else(|| ErrorKind::NoSuchTable { table: joined.path.clone(), known: Vec::new() })?;
        stamp(h5, joined, source)?;
    }
    merged.objects += copied.objects;
    let file = input.path();
    merged.left_out.extend(copied.left_out.into_iter().map(|(path, why)| (file.to_owned(), path, why)));
    let is_column = |path: &str| {
        let (table, column) = path.rsplit_once('/').unwrap_or(("", path));
        tables.iter().any(|j| j.path == table.trim_start_matches('/') && j.columns.iter().any(|c| c == column))
    };
    // Cells of rows that are merged must not be lost unsaid.
    let is_of_rows = |path: &str| {
        let (table, column) = path.rsplit_once('/').unwrap_or(("", path));
        let source = sources.get(table.trim_start_matches('/'));
        tables.iter().any(|j| j.path == table.trim_start_matches('/'))
            && source.is_some_and(|source| source.column(column).is_ok())
    };
    for path in copied.already_there.into_iter().filter(|path| !is_column(path)) {
        if is_of_rows(&path) {
            let why =
                "its type or filter is none that rows are merged by, and the file has a column of this name already";
            merged.left_out.push((file.to_owned(), path, why.to_owned()));
        } else {
            merged.already_there.push((file.to_owned(), path));
        }
    }
    Ok(())
}

fn shell(table: &str, column: &str) -> Shell {
    Shell {
        path: format!("{table}/{column}"),
        layout: ShellLayout::Same,
        compression: Compression::Same,
        allocation: Some(Allocation::Direct),
    }
}

/// Gives a new table its stamps, and the rows of the longest.
fn stamp(h5: &H5Change, joined: &Joined, source: &Table) -> Result<(), ErrorKind> {
    let rows = h5.add_stamps_like(source, joined.columns.clone())?;
    if joined.rows > rows {
        h5.extend(&joined.path, joined.rows)?;
    }
    Ok(())
}

/// Extends a table that was there to the rows of the longest.
pub(super) fn extend(out: &Store, joined: &Joined) -> Result<()> {
    let rows = out.reader(&joined.path)?.table().rows;
    if rows < joined.rows {
        out.extend(&joined.path, joined.rows).map(|_| ())?;
    }
    Ok(())
}
