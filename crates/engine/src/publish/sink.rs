//! Writes published rows: each column into compressed chunks, in parallel, or straight to its place.

use super::earlier::{Earlier, digest_of, values_of};
use super::plan::Planned;
use super::rows::RowBlock;
use crate::filter::{self, Encoded};
use crate::h5::{Digest, H5Change};
use crate::store::Packer;
use h5part_base::dataspace::{Column, ColumnLayout, Filter, Runs, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::storage::StorageFile;
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Waiting chunks are compressed once they have this many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// Most chunks waiting for the library.
pub(super) const ON_THE_WAY: usize = 8;
/// A sync begins after this many written bytes.
const SYNC_BYTES: usize = 16 << 20;

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) chunks: u64,
    pub(super) reused: u64,
    pub(super) bytes: u64,
}

/// The columns of a table, and its stamps.
pub(super) struct Sinks<'a> {
    file: &'a dyn StorageFile,
    writer: SyncSender<Ready>,
    earlier: Option<&'a Earlier>,
    sinks: Vec<Sink>,
    stamps: Option<ColumnLayout>,
    waiting: Vec<Chunk>,
    waiting_bytes: usize,
    tally: Written,
}

struct Sink {
    column: Arc<Column>,
    path: String,
    place: Place,
}

enum Place {
    /// Written in place.
    Direct(ColumnLayout),
    /// Collected into chunks of whole rows.
    Chunks {
        chunk_rows: u64,
        chunk_bytes: usize,
        filters: Vec<Filter>,
        filling: Vec<u8>,
        band: u64,
        digests: Vec<Digest>,
    },
}

/// A full chunk.
struct Chunk {
    sink: usize,
    band: u64,
    values: Vec<u8>,
}

/// A compressed chunk, and where to store it.
pub(super) struct Ready {
    column: Arc<Column>,
    offset: Vec<u64>,
    stored: Encoded,
}

/// Passes chunks to the library as they arrive, and starts syncing early, so that little is left for the sync at the
/// end. Ends when no sender is left.
pub(super) fn store(
    h5: &H5Change,
    file: &dyn StorageFile,
    table: &str,
    chunks: &Receiver<Ready>,
) -> Result<(), ErrorKind> {
    std::thread::scope(|scope| {
        let (begin, asked) = sync_channel(1);
        let syncer = scope.spawn(move || {
            // The system reports a failed sync only once, so the result must be kept.
            asked.iter().try_for_each(|()| file.sync())
        });
        let mut written = 0;
        let outcome = chunks.iter().try_for_each(|Ready { column, offset, stored }| {
            h5.write_chunk(table, &column, &offset, &stored)?;
            h5.touch();
            written += stored.bytes.len();
            // If a sync is still running, the next one starts later.
            if written >= SYNC_BYTES && begin.try_send(()).is_ok() {
                written = 0;
            }
            Ok(())
        });
        drop(begin);
        let begun = syncer.join().map_err(|_| ErrorKind::Hdf5("the sync thread panicked".to_owned()))?;
        outcome.and(begun.map_err(ErrorKind::from))
    })
}

/// A chunk after compression.
struct Packed {
    sink: usize,
    band: u64,
    stored: Encoded,
    digest: Digest,
    reused: bool,
}

impl<'a> Sinks<'a> {
    pub(super) fn new(
        h5: &H5Change,
        file: &'a dyn StorageFile,
        table: &Planned,
        writer: SyncSender<Ready>,
        earlier: Option<&'a Earlier>,
    ) -> Result<Self, ErrorKind> {
        let made = h5.locate(&table.table)?;
        let sinks = table.columns.iter().map(|column| Sink::new(made.column(&column.name)?, &table.table));
        let sinks = sinks.collect::<Result<_, _>>()?;
        let stamps = made.stamps.map(|stamps| stamps.layout);
        let (waiting, waiting_bytes, tally) = (Vec::new(), 0, Written::default());
        Ok(Self { file, writer, earlier, sinks, stamps, waiting, waiting_bytes, tally })
    }

    /// Takes rows, which must follow those of the call before. Returns the bytes taken so far.
    pub(super) fn take(&mut self, rows: RowBlock) -> Result<u64, ErrorKind> {
        for (k, cells) in rows.cells.into_iter().enumerate() {
            self.tally.bytes += cells.len() as u64;
            self.take_cells(k, rows.first, &cells)?;
        }
        if let Some(layout) = &self.stamps {
            // Rows that another program appended have no stamps.
            let stamped = layout.rows.saturating_sub(rows.first).saturating_mul(layout.cell_bytes);
            let words: &[u8] = bytemuck::cast_slice(rows.words.words());
            let bytes = &words[..words.len().min(to_usize(stamped))];
            self.tally.bytes += bytes.len() as u64;
            write(self.file, layout, rows.first, bytes)?;
        }
        if self.waiting_bytes >= BATCH_BYTES {
            self.pack()?;
        }
        Ok(self.tally.bytes)
    }

    fn take_cells(&mut self, k: usize, first: u64, cells: &[u8]) -> Result<(), ErrorKind> {
        match &mut self.sinks[k].place {
            Place::Direct(layout) => write(self.file, layout, first, cells),
            Place::Chunks { chunk_bytes, filling, band, .. } => {
                let mut rest = cells;
                while !rest.is_empty() {
                    let (here, more) = rest.split_at(rest.len().min(*chunk_bytes - filling.len()));
                    filling.extend_from_slice(here);
                    rest = more;
                    if filling.len() == *chunk_bytes {
                        let values = std::mem::replace(filling, Vec::with_capacity(*chunk_bytes));
                        self.waiting_bytes += values.len();
                        self.waiting.push(Chunk { sink: k, band: *band, values });
                        *band += 1;
                    }
                }
                Ok(())
            }
        }
    }

    /// Compresses the waiting chunks in parallel, and passes them to the writer thread.
    fn pack(&mut self) -> Result<(), ErrorKind> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let pack = |chunk: Chunk| self.sinks[chunk.sink].pack(chunk, self.earlier);
        let packed: Vec<Packed> = waiting.into_par_iter().map(pack).collect::<Result<_, _>>()?;
        self.tally.chunks += packed.len() as u64;
        for chunk in packed {
            let sink = &mut self.sinks[chunk.sink];
            if let Place::Chunks { digests, .. } = &mut sink.place {
                digests.push(chunk.digest);
            }
            self.tally.reused += u64::from(chunk.reused);
            let ready =
                Ready { column: Arc::clone(&sink.column), offset: sink.offset(chunk.band), stored: chunk.stored };
            // A writer thread that does not receive any more has failed, and returns its error at the end.
            self.writer.send(ready).map_err(|_| ErrorKind::Poisoned)?;
        }
        Ok(())
    }

    /// Writes the last chunks, which may not be full. Adds the digests of all chunks.
    pub(super) fn finish(mut self, digests: &mut Vec<(String, Vec<Digest>)>) -> Result<Written, ErrorKind> {
        for (k, sink) in self.sinks.iter_mut().enumerate() {
            let Sink { column, place, .. } = sink;
            if let Place::Chunks { chunk_bytes, filling, band, .. } = place
                && !filling.is_empty()
            {
                let mut values = std::mem::take(filling);
                let lacking = (*chunk_bytes - values.len()) / column.fill.len().max(1);
                values.extend(column.fill.repeat(lacking));
                self.waiting.push(Chunk { sink: k, band: *band, values });
            }
        }
        self.pack()?;
        for Sink { path, place, .. } in self.sinks {
            if let Place::Chunks { digests: of_column, .. } = place {
                digests.push((path, of_column));
            }
        }
        Ok(self.tally)
    }
}

impl Sink {
    fn new(column: &Column, table: &str) -> Result<Self, ErrorKind> {
        let by_library =
            || ErrorKind::Hdf5(format!("column '{}' of the published file is not as it was asked for", column.name));
        let place = match (&column.layout, &column.filters, &column.chunk) {
            (Ok(layout), _, _) => Place::Direct(layout.clone()),
            (Err(_), Some(filters), Some(chunk)) => {
                let chunk_bytes = column.cell_bytes().checked_mul(chunk[0]).ok_or_else(by_library)?;
                let chunk_bytes = usize::try_from(chunk_bytes).map_err(|_| by_library())?;
                let (filters, chunk_rows) = (filters.clone(), chunk[0]);
                Place::Chunks { chunk_rows, chunk_bytes, filters, filling: Vec::new(), band: 0, digests: Vec::new() }
            }
            _ => return Err(by_library()),
        };
        let path = format!("{table}/{}", column.name);
        Ok(Self { column: Arc::new(column.clone()), path, place })
    }

    /// Index of the first element of a chunk.
    fn offset(&self, band: u64) -> Vec<u64> {
        let chunk_rows = match &self.place {
            Place::Chunks { chunk_rows, .. } => *chunk_rows,
            Place::Direct(_) => 1,
        };
        let inner = self.column.shape.iter().map(|_| 0);
        [band * chunk_rows].into_iter().chain(inner).collect()
    }

    fn pack(&self, chunk: Chunk, earlier: Option<&Earlier>) -> Result<Packed, ErrorKind> {
        let Chunk { sink, band, mut values } = chunk;
        let Place::Chunks { filters, chunk_bytes, .. } = &self.place else {
            return Err(ErrorKind::Hdf5("a chunk of a column that has none".to_owned()));
        };
        let packer = Packer::new(&self.column)?;
        packer.turn(&mut values);
        let digest = values_of(&values);
        if let Some((stored, digest)) = earlier.and_then(|e| e.chunk(&self.path, filters, *chunk_bytes, band, digest)) {
            return Ok(Packed { sink, band, stored, digest, reused: true });
        }
        let stored = filter::with_codecs(|codecs| packer.encode(&values, codecs));
        let digest = digest_of(digest, &stored.bytes);
        Ok(Packed { sink, band, stored, digest, reused: false })
    }
}

/// Writes cells from row `first` on.
fn write(file: &dyn StorageFile, layout: &ColumnLayout, first: u64, cells: &[u8]) -> Result<(), ErrorKind> {
    let count = cells.len() as u64 / layout.cell_bytes.max(1);
    let mut plan = Vec::new();
    pieces(layout, &Runs::range(first..first + count), &mut plan);
    for piece in plan {
        file.write_at(&cells[piece.value..piece.value + piece.len], piece.address)?;
    }
    Ok(())
}
