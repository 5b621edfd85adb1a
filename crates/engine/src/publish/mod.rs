//! Publishing: makes a copy of what is committed, for many readers. Writers go on in the working file.
//!
//! The copy is built beside its name, and renamed into place once it is complete and durable. So readers keep the file
//! that they opened, and nobody ever sees half a file. If the file was published before, only changed chunks are
//! compressed again.

mod earlier;
pub mod error;
mod plan;
mod rows;
mod sink;
mod snapshot;

pub use snapshot::Snapshot;

use crate::h5::{Compression, Copying, Digest, H5Change, H5File, Listing};
use crate::store::{Progress, Store};
use earlier::Earlier;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::storage::StorageFile;
use plan::{Planned, plan};
use serde::Serialize;
use sink::{Sinks, Written};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// How to publish a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// How values are stored.
    pub packing: Packing,
    /// Leave out rows that lack a committed value in any stamped column, or whose guard does not say "complete".
    pub only_complete: bool,
    /// Copy values that do not match their stamps, since another program changed them; they get no stamps. Otherwise
    /// such values are an error.
    pub accept_foreign: bool,
}

/// How the values of a published file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip at this level, 0 to 9.
    Gzip {
        /// Level.
        level: u8,
        /// Apply the shuffle filter first.
        shuffle: bool,
    },
    /// Shuffle, then Zstandard at this level. h5part reads it; HDF5 needs the plugin of the registered filter 32015.
    Zstd {
        /// Level, 1 to 22.
        level: u8,
    },
    /// Uncompressed, one block per column, for [`Snapshot::view`]. It cannot show columns of the other byte order,
    /// which are stored in chunks.
    Plain,
}

impl Default for Publishing {
    /// gzip 4 with shuffle; all rows.
    fn default() -> Self {
        Self { packing: Packing::Gzip { level: 4, shuffle: true }, only_complete: false, accept_foreign: false }
    }
}

/// What was published.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Published {
    /// Tables.
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Cells with a value.
    pub cells: u64,
    /// Cells without a value.
    pub missing: u64,
    /// Rows that were left out since they are incomplete.
    pub left_out_rows: u64,
    /// Chunks that were written.
    pub chunks: u64,
    /// Chunks among them that were taken from the earlier published file.
    pub reused: u64,
    /// Bytes of values.
    pub bytes: u64,
    /// Length of the published file, in bytes.
    pub file_bytes: u64,
    /// Objects that could not be copied: path and reason.
    pub left_out: Vec<(String, String)>,
}

impl Store {
    /// Publishes what is committed as the file `out`: all tables with their stamps, and everything else that the file
    /// holds.
    ///
    /// **Concurrency.** Runs beside any number of writers and readers. It takes all columns of a row as one commit left
    /// them, and waits for rows that are being overwritten. Structural changes, and commits to compressed columns, wait
    /// while the structure or a portion of compressed columns is read. If two processes publish under one name at once,
    /// both build a complete file, and the later one stays. **Atomic**: the name refers to the old file until it refers
    /// to the new one. Whoever has opened the old file keeps it. **Survives** a kill at any instant, with the old file
    /// or the new one, and, once it has returned, loss of power.
    ///
    /// `progress` is called with the bytes of values done, and those to do in all.
    ///
    /// # Errors
    /// [`error::ErrorKind::NotPublished`] if `out` is anything but an earlier publication of this store;
    /// [`ErrorKind::ForeignChange`], [`ErrorKind::LockTimeout`], [`ErrorKind::NoSpace`], and those of
    /// [`Store::reader`]. After an error the old file is unchanged.
    pub fn publish(&self, out: &Self, how: Publishing, progress: Progress<'_>) -> Result<Published> {
        how.packing.check().at("publish", self.path())?;
        let (tables, earlier) = self.prepare(out).map_err(|kind| kind.at("publish", out.path()))?;
        let planned: Vec<Planned> = tables
            .iter()
            .map(|listing| plan(&listing.table, how.packing))
            .collect::<Result<_, _>>()
            .at("publish", self.path())?;
        if how.packing == Packing::Plain {
            let needed = planned.iter().map(Planned::bytes).sum();
            out.check_space(needed).at("publish", out.path())?;
        }
        let build = |path: &Path, file: &Arc<dyn StorageFile>| {
            let (h5, copied) = self.copy_into(path, file, &planned)?;
            let mut published = h5.run(|h5| self.fill(h5, file, &planned, earlier.as_ref(), how, progress))?;
            published.left_out = copied;
            published.left_out.extend(tables.iter().flat_map(|listing| listing.table.beyond_rows()));
            published.file_bytes = file.identity()?.len;
            Ok(published)
        };
        out.replace_with(build).at("publish", out.path())
    }

    /// The tables to publish, and the file that was published before.
    fn prepare(&self, out: &Self) -> Result<(Vec<Listing>, Option<Earlier>), ErrorKind> {
        if self.path() == out.path() {
            return Err(error::ErrorKind::NotPublished.into());
        }
        self.put_right()?;
        let (uuid, tables) = self.with_h5(|h5, _| Ok((h5.uuid()?, once(h5, h5.tables()?)?)))?;
        Ok((tables, Earlier::open(out, uuid)?))
    }

    /// Recovers what dead writers left, if there were writers and we have the permissions.
    fn put_right(&self) -> Result<(), ErrorKind> {
        if !self.paths.sidecar.exists() {
            return Ok(());
        }
        let Err(e) = self.recover() else { return Ok(()) };
        match e.into_kind() {
            ErrorKind::ReadOnly(_) | ErrorKind::UntrustedLocks { .. } | ErrorKind::HardLinked(_) => Ok(()),
            other => Err(other),
        }
    }

    /// Copies everything but the values of the planned columns. It runs inside the gate, so that the structure does not
    /// change meanwhile.
    fn copy_into(
        &self,
        path: &Path,
        file: &Arc<dyn StorageFile>,
        planned: &[Planned],
    ) -> Result<(H5Change, Vec<(String, String)>), ErrorKind> {
        let shells = planned.iter().flat_map(|table| table.shells.clone()).collect();
        self.with_h5(|from, _| {
            let h5 = H5Change::create_to_map(file, path, from)?;
            let copied = h5.copy_structure(from, &Copying { shells, stamps: true, ..Copying::default() })?;
            Ok((h5, copied.left_out))
        })
    }

    fn fill(
        &self,
        h5: &H5Change,
        file: &Arc<dyn StorageFile>,
        planned: &[Planned],
        earlier: Option<&Earlier>,
        how: Publishing,
        progress: Progress<'_>,
    ) -> Result<Published, ErrorKind> {
        h5.flush()?;
        let total = planned.iter().map(Planned::bytes).sum();
        let mut published = Published::default();
        let mut digests: Vec<(String, Vec<Digest>)> = Vec::new();
        for table in planned.iter().filter(|table| !table.columns.is_empty()) {
            let mut source = rows::RowSource::open(self, table, how)?;
            let done_before = published.bytes;
            let (sender, receiver) = sync_channel(sink::ON_THE_WAY);
            let mut sinks = Sinks::new(h5, file.as_ref(), table, sender, earlier)?;
            let filled = std::thread::scope(|scope| {
                let writer = scope.spawn(move || sink::store(h5, file.as_ref(), &table.table, &receiver));
                let filled = source.each_block(|block| {
                    let done = sinks.take(block)?;
                    h5.touch();
                    progress(done_before + done, total);
                    Ok(())
                });
                // The writer thread ends when no sender is left.
                let filled = filled.and_then(|()| sinks.finish(&mut digests));
                let stored = writer.join().map_err(|_| ErrorKind::Hdf5("the writer panicked".to_owned()))?;
                stored.and(filled)
            });
            let Written { chunks, reused, bytes } = filled?;
            published.tables += 1;
            published.rows += table.rows;
            published.cells += source.cells;
            published.missing += source.missing;
            published.left_out_rows += source.left_out;
            published.chunks += chunks;
            published.reused += reused;
            published.bytes += bytes;
        }
        h5.mark_published(&digests)?;
        progress(total, total);
        Ok(published)
    }
}

/// Lists each dataset once, whatever names it has. A table with stamps takes precedence.
fn once(h5: &H5File, mut tables: Vec<Listing>) -> Result<Vec<Listing>, ErrorKind> {
    tables.sort_by_key(|listing| listing.table.stamps.is_none());
    let mut seen = HashSet::new();
    for Listing { table, .. } in &mut tables {
        let mut kept = Vec::with_capacity(table.columns.len());
        for column in std::mem::take(&mut table.columns) {
            if seen.insert(h5.object(&format!("/{}/{}", table.path, column.name))?) {
                kept.push(column);
            }
        }
        table.columns = kept;
    }
    Ok(tables)
}

impl Packing {
    /// Refuses levels that there are not.
    fn check(self) -> Result<(), ErrorKind> {
        let refuse = |name: &str, level: u8, levels: &str| {
            Err(ErrorKind::BadRequest(format!("{name} has levels {levels}, not {level}")))
        };
        match self {
            Self::Gzip { level, .. } if level > 9 => refuse("gzip", level, "0 to 9"),
            Self::Zstd { level } if !(1..=22).contains(&level) => refuse("Zstandard", level, "1 to 22"),
            _ => Ok(()),
        }
    }

    fn compression(self) -> Compression {
        match self {
            Self::Gzip { level, shuffle } => Compression::Gzip { level, shuffle },
            Self::Zstd { level } => Compression::Zstd { level: u32::from(level), shuffle: true },
            Self::Plain => Compression::None,
        }
    }
}
