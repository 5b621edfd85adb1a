//! Files of the same tables, merged into one: for file systems whose locks cannot be trusted, where each worker writes a
//! file of its own, and for results of several machines.

use crate::{Result, StoreOptions};
pub use h5part_engine::merge::error::{AttributesDiffer, Disagreement, ErrorKind};
pub use h5part_engine::merge::{Attributes, Lost, MergeOptions, Merged, MergedTable, OtherAttribute};
use std::path::Path;

/// Merges the committed rows of `inputs` into `out`. A file that does not exist is made, with all that the inputs hold.
/// In one that exists, what it lacks is added. Cells that two files hold must have the same bytes. Missing rows stay
/// missing.
///
/// ```no_run
/// use h5part::merge::{MergeOptions, merge};
///
/// let merged = merge("all.h5", ["worker-1.h5", "worker-2.h5"], &MergeOptions::default())?;
/// assert!(merged.is_complete());
/// # Ok::<(), h5part::Error>(())
/// ```
///
/// **Concurrency.** Other processes may write to an `out` that exists meanwhile, and merge into it: a cell that appears
/// there is compared, not overwritten. Inputs are read as readers do, and never written. **Survives** a kill at any
/// instant: `out` does not exist, or is sound, and the same call again does what is left.
///
/// # Errors
/// [`ErrorKind::Disagreement`] and
/// [`ErrorKind::AttributesDiffer`] name both files;
/// [`ErrorKind::OtherColumns`], [`ErrorKind::LeftByDead`]
/// and [`ErrorKind::Damaged`] for inputs that do not fit, or are not sound;
/// [`ErrorKind::BadRequest`](crate::ErrorKind::BadRequest) where `out` is among the inputs; those of
/// [structural changes](crate::Store#structural-changes).
pub fn merge<P: AsRef<Path>>(
    out: impl AsRef<Path>,
    inputs: impl IntoIterator<Item = P>,
    options: &MergeOptions,
) -> Result<Merged> {
    StoreOptions::new().name(out)?.merge(inputs, options)
}
