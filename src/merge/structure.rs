//! What the merged file lacks: tables, and what else the inputs hold.

use super::plan::Joined;
use super::{Merged, of_input};
use crate::dataspace::Table;
use crate::error::{ErrorKind, Result};
use crate::h5::{Allocation, Compression, Copying, GuardSpec, H5Change, Shell, ShellLayout, StampsSpec};
use crate::store::Store;
use std::collections::HashSet;

/// Makes the file, or adds to it what it lacks.
pub(super) fn complete(out: &Store, inputs: &[Store], tables: &[Joined]) -> Result<Merged> {
    let planned = tables.iter().filter(|joined| !joined.is_there).map(|joined| joined.rows * joined.row_bytes).sum();
    let mut merged = Merged::default();
    let Some(first) = inputs.first() else { return Ok(merged) };
    // Which input it was is known inside only.
    let mut failed = None;
    let mut work = |h5: &H5Change| {
        merged = Merged::default();
        copy_all(h5, inputs, tables, &mut merged).map_err(|(input, kind)| {
            failed = input;
            kind
        })
    };
    let outcome = match out.build_like(first, planned, &mut work) {
        Ok(true) => Ok(true),
        Ok(false) => out.change(|h5| work(h5)).map(|()| false),
        Err(e) => Err(e),
    };
    match (outcome, failed) {
        (Ok(created), _) => Ok(Merged { created, ..merged }),
        (Err(e), Some(input)) => of_input(Err(e.into_kind()), &inputs[input]),
        (Err(e), None) => Err(e),
    }
}

/// An error, and of which input, if of one.
type Failed = (Option<usize>, ErrorKind);

fn copy_all(h5: &H5Change, inputs: &[Store], tables: &[Joined], merged: &mut Merged) -> Result<(), Failed> {
    h5.ensure_uuid().map_err(|kind| (None, kind))?;
    // Also what another merge has made since the files were looked at.
    let is_there = |joined: &&Joined| joined.is_there || h5.is_stamped(&joined.path);
    let mut there: HashSet<&str> = tables.iter().filter(is_there).map(|j| j.path.as_str()).collect();
    for (k, input) in inputs.iter().enumerate() {
        let has = |joined: &&Joined| joined.sources.iter().any(|source| source.input == k);
        let new: Vec<&Joined> = tables.iter().filter(has).filter(|j| !there.contains(j.path.as_str())).collect();
        copy_from(h5, input, &new, tables, merged).map_err(|kind| (Some(k), kind))?;
        there.extend(new.iter().map(|joined| joined.path.as_str()));
    }
    Ok(())
}

fn copy_from(
    h5: &H5Change,
    input: &Store,
    new: &[&Joined],
    tables: &[Joined],
    merged: &mut Merged,
) -> Result<(), ErrorKind> {
    let shells = new.iter().flat_map(|joined| joined.columns.iter().map(|column| shell(&joined.path, column)));
    let copying = Copying { shells: shells.collect(), stamps: false };
    let (copied, sources) = input.look(|from, _| {
        let copied = h5.copy_structure(from, &copying)?;
        Ok((copied, from.tables()?))
    })?;
    let is_shell = |path: &str| copying.shells.iter().any(|shell| shell.path == path.trim_start_matches('/'));
    if let Some((path, why)) = copied.left_out.iter().find(|(path, _)| is_shell(path)) {
        return Err(ErrorKind::Hdf5(format!("{path} cannot be made: {why}")));
    }
    for joined in new {
        let source = sources.iter().map(|listing| &listing.table).find(|table| table.path == joined.path);
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
        let listing = sources.iter().find(|listing| listing.table.path == table.trim_start_matches('/'));
        tables.iter().any(|j| j.path == table.trim_start_matches('/'))
            && listing.is_some_and(|listing| listing.table.column(column).is_ok())
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
    let guards = source.stamps.iter().flat_map(|stamps| &stamps.guards);
    let guards = guards.map(|guard| GuardSpec::of(guard, &source.columns)).collect::<Result<_, _>>()?;
    let names = joined.columns.clone();
    h5.add_stamps(&StampsSpec { path: &joined.path, rows: source.rows, names, guards })?;
    if joined.rows > source.rows {
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
