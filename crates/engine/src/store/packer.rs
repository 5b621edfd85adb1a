//! Converts chunks of a column between their stored form and cells in memory.

use crate::filter::{Codecs, Encoded, Pipeline};
use h5part_base::dataspace::Column;
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;

/// The filters of a column, and its byte order.
pub(crate) struct Packer<'a> {
    column: &'a Column,
    pipeline: Pipeline<'a>,
}

impl<'a> Packer<'a> {
    /// A packer for a column that is read by chunks.
    pub(crate) fn new(column: &'a Column) -> Result<Self, ErrorKind> {
        let pipeline = column.filters.as_ref().and_then(|filters| Pipeline::new(filters, column.fill.len()));
        let pipeline = pipeline.ok_or_else(|| ErrorKind::Hdf5("unknown filters".to_owned()))?;
        Ok(Self { column, pipeline })
    }

    /// Decodes a chunk whose first row is `row` into `cells`.
    pub(crate) fn decode(
        &self,
        row: u64,
        (mask, stored): (u32, &[u8]),
        cells: &mut [u8],
        codecs: &mut Codecs,
    ) -> Result<(), ErrorKind> {
        self.pipeline.decode(mask, stored, cells, codecs).map_err(|damaged| {
            let filter = damaged.filter.map_or_else(|| "length".to_owned(), |filter| filter.to_string());
            ErrorKind::DamagedChunk { column: self.column.name.clone(), row, filter }
        })?;
        self.turn(cells);
        Ok(())
    }

    /// Converts bytes between the order of memory and that of the file, in either direction.
    pub(crate) fn turn(&self, cells: &mut [u8]) {
        if self.column.big_endian {
            let word = self.column.dtype.as_ref().map_or(1, |dtype| to_usize(dtype.word_bytes()));
            cells.chunks_exact_mut(word.max(1)).for_each(<[u8]>::reverse);
        }
    }

    /// Encodes a chunk whose bytes are in the order of the file.
    pub(crate) fn encode(&self, chunk: &[u8], codecs: &mut Codecs) -> Encoded {
        self.pipeline.encode(chunk, codecs)
    }
}
