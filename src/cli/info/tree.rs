//! `h5part info --tree`: an overview of a file.

use super::super::exit::Exit;
use super::super::output::{bytes, json, line};
use h5part::Result;
use h5part_base::error::At;
use h5part_engine::h5::{TreeEntry, TreeObject};
use h5part_engine::store::Store;

/// Values of attributes are cut at this many characters.
const WIDEST_VALUE: usize = 60;

pub fn show(store: &Store, as_json: bool) -> Result<Exit> {
    let entries = store.with_h5(|h5, _| Ok(h5.tree()?)).at("read", store.path())?;
    if as_json {
        json(&entries)?;
        return Ok(Exit::Success);
    }
    for entry in &entries {
        let indent = "  ".repeat(entry.depth);
        let name = match entry.path.rsplit('/').next() {
            Some(name) if !name.is_empty() => name.escape_debug().to_string(),
            _ => store.path().display().to_string(),
        };
        line(format!("{indent}{name}{}", described(entry)))?;
        for (name, value) in &entry.attributes {
            line(format!("{indent}  @{} = {}", name.escape_debug(), cut(value)))?;
        }
    }
    Ok(Exit::Success)
}

fn described(entry: &TreeEntry) -> String {
    match &entry.object {
        TreeObject::Group { members, table, bundle } => {
            let what = match (table, bundle) {
                (true, _) => "  table with stamps, ",
                (_, true) => "  bundle, ",
                _ => "  ",
            };
            let s = if *members == 1 { "" } else { "s" };
            let slash = if entry.path.is_empty() { "" } else { "/" };
            format!("{slash}{what}{members} member{s}")
        }
        TreeObject::Dataset { dtype, shape, most, chunk, filters, stored_bytes } => {
            let mut parts = vec![shape_of(shape.as_deref(), most), dtype.clone()];
            parts.extend(chunk.as_ref().map(|chunk| format!("chunks of {}", joined(chunk))));
            parts.extend(filters.iter().cloned());
            parts.push(bytes(*stored_bytes));
            format!("  {}", parts.join(", "))
        }
        TreeObject::Type { dtype } => format!("  type: {dtype}"),
        TreeObject::Again { first } => format!("  another name of {first}"),
        TreeObject::SoftLink => "  soft link".to_owned(),
        TreeObject::ExternalLink => "  link into another file".to_owned(),
        TreeObject::Unopenable { why } => format!("  HDF5 cannot open it: {why}"),
    }
}

fn joined(axes: &[u64]) -> String {
    axes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// `4000 (of any number) x100x3`: shows which axes may grow.
fn shape_of(shape: Option<&[u64]>, most: &[Option<u64>]) -> String {
    let Some(shape) = shape else { return "empty".to_owned() };
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    let grows = shape.iter().zip(most).filter(|(now, most)| most.is_none_or(|most| most > **now)).count();
    let may = if grows > 0 { " (may grow)" } else { "" };
    format!("{}{may}", joined(shape))
}

/// Fits a value on one line.
fn cut(value: &str) -> String {
    let value = value.escape_debug().to_string();
    match value.char_indices().nth(WIDEST_VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}
