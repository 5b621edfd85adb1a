//! `h5part read --csv`: rows of several columns as comma-separated values.

use super::super::common::rows;
use super::super::csv::field;
use super::super::exit::Exit;
use super::super::output::say;
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::{Dtype, Rows};
use h5part_base::error::At;
use h5part_base::num::to_usize;
use h5part_engine::store::{Block, CellState, Reader};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Rows are read in portions of about this many bytes.
const PORTION_BYTES: u64 = 16 << 20;

/// A column, with the format of its cells.
struct Field {
    dtype: Dtype,
    /// Elements per cell.
    elements: u64,
    header: String,
}

impl Field {
    fn of(reader: &Reader, name: &str, file: &Path) -> Result<Self> {
        let column = reader.table().readable(name).at("read", file)?;
        let (dtype, elements) = (column.dtype().at("read", file)?, column.shape.iter().product());
        Ok(Self { dtype, elements, header: header(name, &column.shape) })
    }

    fn bytes(&self) -> u64 {
        self.elements * self.dtype.size()
    }
}

/// `F[0 0],F[0 1]`: one field per element of a cell.
fn header(name: &str, shape: &[u64]) -> String {
    if shape.is_empty() {
        return field(name).into_owned();
    }
    let mut texts = vec![String::new()];
    for &axis in shape {
        let longer = |text: &String| {
            let text = text.clone();
            (0..axis).map(move |k| if text.is_empty() { k.to_string() } else { format!("{text} {k}") })
        };
        texts = texts.iter().flat_map(longer).collect();
    }
    texts.iter().map(|text| field(&format!("{name}[{text}]")).into_owned()).collect::<Vec<_>>().join(",")
}

/// Prints rows. Exit code 1: some do not match their stamps.
pub fn print(reader: &mut Reader, names: &[&str], spec: &str, file: &Path) -> Result<Exit> {
    let count = reader.table().rows;
    let rows = if count == 0 && spec.trim() == ":" { Rows::range(0..0) } else { rows(spec, count, file)? };
    let fields = names.iter().map(|name| Field::of(reader, name, file)).collect::<Result<Vec<_>>>()?;
    let written = |outcome: std::io::Result<()>| outcome.map_err(ErrorKind::Io).at("write to", "standard output");
    let mut out = BufWriter::new(std::io::stdout().lock());
    let headers: Vec<&str> = fields.iter().map(|field| field.header.as_str()).collect();
    written(writeln!(out, "row,{}", headers.join(",")))?;
    let row_bytes = fields.iter().map(Field::bytes).sum::<u64>().max(1);
    let portion = (PORTION_BYTES / row_bytes).max(1);
    let (mut absent, mut changed) = (0u64, 0u64);
    for from in (0..rows.len()).step_by(to_usize(portion)) {
        let part = rows.slice(from, portion);
        let blocks = reader.read_columns(names, &part)?;
        for states in blocks.iter().map(Block::states) {
            absent += states.iter().filter(|state| !state.is_present()).count() as u64;
            changed += states.iter().filter(|state| **state == CellState::Changed).count() as u64;
        }
        for (k, row) in part.iter().enumerate() {
            let cells: Vec<String> = fields.iter().zip(&blocks).map(|(field, block)| cell(field, block, k)).collect();
            written(writeln!(out, "{row},{}", cells.join(",")))?;
        }
    }
    written(out.flush())?;
    if absent > 0 {
        say(format_args!("{absent} of {} cells are not there: they are empty", rows.len() * names.len() as u64));
    }
    if changed > 0 {
        say(format_args!("{changed} of them do not match their stamps: changed by another program, or damaged"));
        return Ok(Exit::Found);
    }
    Ok(Exit::Success)
}

fn cell(field: &Field, block: &Block, k: usize) -> String {
    let (size, len) = (to_usize(field.dtype.size()), to_usize(field.bytes()));
    let is_there = block.states().get(k).is_some_and(|state| state.is_present());
    let values = block.bytes().get(k * len..(k + 1) * len).unwrap_or_default().chunks_exact(size);
    let text = |element: &[u8]| if is_there { field.dtype.format_element(element) } else { String::new() };
    values.map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_of_a_cell_has_a_name() {
        assert_eq!(header("E", &[]), "E");
        assert_eq!(header("F", &[2, 2]), "F[0 0],F[0 1],F[1 0],F[1 1]");
        assert_eq!(header("a,b", &[1]), "\"a,b[0]\"");
    }
}
