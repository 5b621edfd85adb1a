//! Merges files with the same tables into one. This is for file systems whose locks cannot be trusted, where each
//! worker writes a file of its own, and for results of several machines.

use crate::{Result, StoreOptions};
pub use h5part_engine::merge::error::{AttributesDiffer, Disagreement, ErrorKind};
pub use h5part_engine::merge::{Attributes, Lost, MergeOptions, Merged, MergedTable, OtherAttribute};
use std::path::Path;

/// Merges the committed rows of `inputs` into `out`. If `out` does not exist, it is created, with everything that the
/// inputs hold. If it exists, what it lacks is added. Cells that are committed in two files must have the same bytes.
/// Rows that are committed in no file are "not there".
///
/// ```no_run
/// use h5part::merge::{MergeOptions, merge};
///
/// let merged = merge("all.h5", ["worker-1.h5", "worker-2.h5"], &MergeOptions::default())?;
/// assert!(merged.is_complete());
/// # Ok::<(), h5part::Error>(())
/// ```
///
/// **Concurrency.** If `out` exists, other processes may write to it and merge into it meanwhile. A cell that they
/// commit is compared, not overwritten. Inputs are read as by a [`Reader`](crate::Reader), and never written.
/// **Atomic**: a new `out` appears under its name only when it is complete. In an existing one, a
/// [structural change](crate::Store#structural-changes) adds tables and columns that it lacks, then rows are committed
/// as by a [`Writer`](crate::Writer). **Survives** a kill at any instant: `out` does not exist, or it is sound, and the
/// same call again does what is left.
///
/// # Errors
/// [`ErrorKind::Disagreement`] and [`ErrorKind::AttributesDiffer`] name both files. [`ErrorKind::OtherColumns`],
/// [`ErrorKind::NotMergeable`], [`ErrorKind::LeftByDead`] and [`ErrorKind::Damaged`] are for inputs that do not fit or
/// are not sound. [`ErrorKind::BadRequest`](crate::ErrorKind::BadRequest): `out` is among the inputs. Others as those
/// of [structural changes](crate::Store#structural-changes).
pub fn merge<P: AsRef<Path>>(
    out: impl AsRef<Path>,
    inputs: impl IntoIterator<Item = P>,
    options: &MergeOptions,
) -> Result<Merged> {
    StoreOptions::new().name(out)?.merge(inputs, options)
}
