//! Chunks of a column: from how they are stored to cells in memory, and back.

use crate::filter::{Codecs, Encoded, Pipeline};
use h5part_base::dataspace::Column;
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;

/// The filters of a column, and the order of its bytes.
pub(crate) struct Packer<'a> {
    column: &'a Column,
    pipeline: Pipeline<'a>,
}

impl<'a> Packer<'a> {
    /// For a column that is read by its chunks.
    pub(crate) fn new(column: &'a Column) -> Result<Self, ErrorKind> {
        let pipeline = column.filters.as_ref().and_then(|filters| Pipeline::new(filters, column.fill.len()));
        let pipeline = pipeline.ok_or_else(|| ErrorKind::Hdf5("filters that are not known".to_owned()))?;
        Ok(Self { column, pipeline })
    }

    /// Fills `cells` with those of a chunk whose first row is `row`.
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

    /// From the order of bytes in memory to that in the file, or back.
    pub(crate) fn turn(&self, cells: &mut [u8]) {
        if self.column.big_endian {
            let word = self.column.dtype.as_ref().map_or(1, |dtype| to_usize(dtype.word_bytes()));
            cells.chunks_exact_mut(word.max(1)).for_each(<[u8]>::reverse);
        }
    }

    /// A chunk, in the order of bytes in the file, as it is to be stored.
    pub(crate) fn encode(&self, chunk: &[u8], codecs: &mut Codecs) -> Encoded {
        self.pipeline.encode(chunk, codecs)
    }
}
