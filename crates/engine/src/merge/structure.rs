//! Adds what the merged file lacks: tables, and all other objects of the inputs.

use super::error::{AttributesDiffer, Disagreement, ErrorKind as MergeErrorKind};
use super::plan::{Found, Joined, Plan};
use super::{Attributes, Lost, Merged, OtherAttribute, build};
use crate::h5::{
    Allocation, Compression, Copied, Copying, Differing, H5Change, H5File, LaidRows, Refusal, Refused, Shell,
    ShellLayout,
};
use crate::store::{Building, Store};
use h5part_base::dataspace::{Column, Loss, Table, path_below};
use h5part_base::error::{At, ErrorKind, Item, Kind, Result};
use std::collections::HashSet;
use std::path::PathBuf;

/// Creates the file as a whole with all rows, or adds what an existing file lacks, without rows.
pub(super) fn complete(plan: Plan<'_>, progress: &mut dyn FnMut(u64)) -> Result<Merged> {
    let Plan { out, inputs, tables, .. } = plan;
    let planned = tables.iter().map(|joined| joined.rows * joined.row_bytes).sum();
    let mut merged = Merged::default();
    let Some(first) = inputs.first() else { return Ok(merged) };
    // Only the inner function knows which file failed.
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
                e.into_kind().into()
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
    /// Copies what the file lacks. `new`: the file is still empty.
    fn copy_all(self, h5: &H5Change, new: bool, merged: &mut Merged) -> Result<()> {
        let out = self.out.path();
        h5.ensure_uuid().at("change", out)?;
        // Includes tables that another merge has added since the files were read.
        let is_there = |joined: &&Joined| joined.is_there || (!new && h5.is_stamped(&joined.path));
        let there: HashSet<&str> = self.tables.iter().filter(is_there).map(|j| j.path.as_str()).collect();
        for joined in self.tables.iter().filter(|joined| there.contains(joined.path.as_str())) {
            if h5.locate(&joined.path).at("change", out)?.rows < joined.rows {
                h5.extend(&joined.path, joined.rows).at("change", out)?;
            }
        }
        let mut made = HashSet::new();
        for (k, input) in self.inputs.iter().enumerate() {
            let Some(found) = self.found_in(k) else { continue };
            let copying = self.copying(k, found, &there, &mut made);
            let copied = input.with_h5(|from, _| Ok(h5.copy_structure(from, &copying)?)).at("merge", input.path())?;
            self.take_in(k, &copying, copied, merged)?;
            let merged_here = self.tables.iter().filter_map(|joined| found.known.tables.get(&joined.path));
            let beyond = merged_here.flat_map(Table::beyond_rows);
            merged.left_out.extend(beyond.map(|(path, why)| (input.path().to_owned(), path, why)));
            merged.note_lost(found, self.tables);
        }
        for joined in self.tables.iter().filter(|joined| !there.contains(joined.path.as_str())) {
            self.stamp(h5, joined).at("change", out)?;
        }
        Ok(())
    }

    /// What to copy of an input, and how. `made`: columns that earlier inputs have brought.
    fn copying(self, k: usize, found: &Found, there: &HashSet<&str>, made: &mut HashSet<String>) -> Copying {
        let mut copying = Copying { only: self.options.tables.clone(), ..Copying::default() };
        for joined in self.tables {
            let Some(source) = joined.sources.iter().find(|source| source.input == k) else { continue };
            let Some(table) = found.known.tables.get(&joined.path) else { continue };
            let is_new = !there.contains(joined.path.as_str());
            let short = source.short.iter().map(|(position, _)| position);
            for position in source.whole.iter().chain(short) {
                let path = path_below(&joined.path, &joined.columns[*position]);
                if is_new && made.insert(path.clone()) {
                    copying.shells.push(shell(path.clone(), Some(Allocation::Direct), joined.rows));
                }
                copying.completed.insert(path);
            }
            for other in joined.others.iter().filter(|other| table.column(&other.name).is_ok()) {
                let path = path_below(&joined.path, &other.name);
                // Columns that are never written are copied as they are, and only compared.
                if (other.holders > 1 || other.rows < joined.rows)
                    && other.frozen.is_none()
                    && made.insert(path.clone())
                {
                    copying.shells.push(shell(path.clone(), None, joined.rows));
                }
                let frozen = other.frozen.clone();
                copying.rows.insert(path.clone(), LaidRows { offset: source.offset, frozen });
                copying.completed.insert(path);
            }
            let retyped = table.lost.iter().filter(|lost| matches!(lost.loss, Loss::Retyped { .. }));
            copying.skip.extend(retyped.map(|lost| path_below(&joined.path, &lost.name)));
        }
        copying
    }

    /// Records what was copied of an input, and what was not.
    fn take_in(self, k: usize, copying: &Copying, copied: Copied, merged: &mut Merged) -> Result<()> {
        let file = self.inputs[k].path();
        let is_shell = |path: &str| copying.shells.iter().any(|shell| shell.path == path.trim_start_matches('/'));
        if let Some((path, why)) = copied.left_out.iter().find(|(path, _)| is_shell(path)) {
            return Err(ErrorKind::Hdf5(format!("{path} cannot be made: {why}")).at("merge", file));
        }
        if let Some(refused) = copied.refused.into_iter().next() {
            return Err(self.refusal(k, refused).at("merge", file));
        }
        for Differing { object, attribute, value, kept } in copied.differing {
            let other = self.holder(k, &kept, |h5| Ok(h5.shown_attribute(&object, &attribute)?));
            if self.options.attributes == Attributes::Same && self.is_merged(&object) {
                let differ = AttributesDiffer { object, attribute, value, other, other_value: kept };
                return Err(MergeErrorKind::AttributesDiffer(Box::new(differ)).at("merge", file));
            }
            merged.attributes.push(OtherAttribute { file: file.to_owned(), object, attribute, value, other, kept });
        }
        merged.objects += copied.objects;
        merged.left_out.extend(copied.left_out.into_iter().map(|(path, why)| (file.to_owned(), path, why)));
        let is_column = |path: &String| copying.completed.contains(path.trim_start_matches('/'));
        let there = copied.already_there.into_iter().filter(|path| !is_column(path));
        merged.already_there.extend(there.map(|path| (file.to_owned(), path)));
        Ok(())
    }

    /// Whether an object is a table that is merged by rows, or a column of one.
    fn is_merged(self, object: &str) -> bool {
        let object = object.trim_start_matches('/');
        let (table, column) = object.rsplit_once('/').unwrap_or(("", object));
        let has = |joined: &Joined| {
            joined.columns.iter().chain(joined.others.iter().map(|other| &other.name)).any(|name| name == column)
        };
        self.tables.iter().any(|joined| joined.path == object || (joined.path == table && has(joined)))
    }

    /// The error for a column whose rows were not merged.
    fn refusal(self, k: usize, refused: Refused) -> MergeErrorKind {
        let path = refused.path.trim_start_matches('/');
        let (table, column) = path.rsplit_once('/').unwrap_or(("", path));
        let (table, column) = (table.to_owned(), column.to_owned());
        match refused.why {
            Refusal::Impossible(why) => MergeErrorKind::NotMergeable { table, column, why },
            Refusal::Differs { row, value, kept } => {
                let other = self.holder(k, &kept, |h5| Ok(h5.shown_cell(&refused.path, row)?));
                let disagreement = Disagreement { table, column, row, value, other, other_value: kept };
                MergeErrorKind::Disagreement(Box::new(disagreement))
            }
        }
    }

    /// The first file before an input that holds the value that was kept.
    fn holder(self, k: usize, kept: &str, ask: impl Fn(&H5File) -> Result<Option<String>, ErrorKind>) -> PathBuf {
        let holds = |input: &&Store| input.with_h5(|h5, _| ask(h5)).is_ok_and(|shown| shown.as_deref() == Some(kept));
        self.inputs[..k].iter().find(holds).unwrap_or(self.out).path().to_owned()
    }

    /// Gives a new table its stamps. Its columns may come from several inputs, since each may have lost some.
    fn stamp(self, h5: &H5Change, joined: &Joined) -> Result<(), ErrorKind> {
        let mut sources =
            joined.sources.iter().filter_map(|source| self.found_in(source.input)?.known.tables.get(&joined.path));
        let missing = || ErrorKind::not_found(Item::Table(joined.path.clone()));
        let mut like = sources.next().ok_or_else(missing)?.clone();
        for column in sources.flat_map(|table| &table.columns) {
            if like.column(&column.name).is_err() {
                like.columns.push(Column { stamp: None, ..column.clone() });
            }
        }
        let rows = h5.add_stamps_like(&like, joined.columns.clone())?;
        if joined.rows > rows || joined.others.iter().any(|other| other.frozen.is_some() && other.rows < joined.rows) {
            h5.extend(&joined.path, joined.rows)?;
        }
        // A named dimension of the rows is as long as the table that brought it.
        if joined.sources.iter().any(|source| source.rows != joined.rows) {
            h5.lengthen_dimension(&joined.path, joined.rows)?;
        }
        Ok(())
    }
}

impl Merged {
    /// Records what other programs have removed from the tables of an input.
    fn note_lost(&mut self, found: &Found, tables: &[Joined]) {
        for table in tables.iter().filter_map(|joined| found.known.tables.get(&joined.path)) {
            self.lost.extend(table.lost.iter().map(|lost| Lost {
                file: found.path.clone(),
                table: table.path.clone(),
                column: lost.name.clone(),
                what: lost.loss.to_string(),
            }));
        }
    }
}

fn shell(path: String, allocation: Option<Allocation>, rows: u64) -> Shell {
    let (layout, compression) = (ShellLayout::Same, Compression::Same);
    Shell { path, layout, compression, allocation, rows: Some(rows) }
}

/// Extends an existing table to the rows of the longest one.
pub(super) fn extend(out: &Store, joined: &Joined) -> Result<()> {
    let rows = out.reader(&joined.path)?.table().rows;
    if rows < joined.rows {
        out.extend(&joined.path, joined.rows).map(|_| ())?;
    }
    Ok(())
}
