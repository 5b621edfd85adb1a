//! Checks every bundle against its checksum.

use super::Remedy;
use super::report::{Finding, Kind, Report};
use super::structure;
use crate::h5::H5File;
use crate::store::{Progress, Store};
use h5part_base::error::{ErrorKind, Item};

/// Bundles read before structural changes may go ahead.
const PORTION: usize = 16;

/// Reads all bundles. How many bytes they hold is known only once they are read. So the progress assumes that each
/// holds an equal share of what tables leave of the file.
pub(super) fn check(
    store: &Store,
    bundles: &[String],
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), ErrorKind> {
    let (tables, all) = (report.bytes_read, report.bytes.max(report.bytes_read));
    for portion in bundles.chunks(PORTION) {
        let found =
            store.with_h5(|h5, _| portion.iter().map(|path| look_at(h5, path)).collect::<Result<Vec<_>, _>>())?;
        for (path, (bytes, finding)) in portion.iter().zip(found) {
            report.bundles += 1;
            report.bytes_read += bytes;
            if let Some(finding) = finding {
                report.add(finding.at(format!("/{path}")));
            }
        }
        let share = u128::from(all - tables) * u128::from(report.bundles) / bundles.len() as u128;
        progress(tables + u64::try_from(share).unwrap_or(0), all);
    }
    Ok(())
}

/// Bytes of values in a bundle, and what is wrong with it. A bundle that was removed meanwhile is not a fault.
fn look_at(h5: &H5File, path: &str) -> Result<(u64, Option<Finding>), ErrorKind> {
    let written = match h5.bundle_sum(path).map_err(ErrorKind::from) {
        Ok(Some(sum)) => sum,
        Ok(None) | Err(ErrorKind::NotFound { what: Item::Group(_), .. }) => return Ok((0, None)),
        Err(e) => return Ok((0, Some(structure::of_error(e)?))),
    };
    let fault = |what: String| Some(Finding::fault(Kind::Bundle, what, Remedy::CompareOrAddAgain));
    let bundle = match h5.read_bundle(path, None).map_err(ErrorKind::from) {
        Ok(bundle) => bundle,
        Err(ErrorKind::Io(e)) => return Err(ErrorKind::Io(e)),
        Err(e) => return Ok((0, fault(format!("it cannot be read: {e}")))),
    };
    let finding = if bundle.sum() == written {
        None
    } else if bundle.members.len() as u64 != written.members() {
        fault(format!("it has {} datasets, but was written with {}", bundle.members.len(), written.members()))
    } else {
        fault("it does not match its checksum: damaged, or changed by another program".to_owned())
    };
    Ok((bundle.bytes(), finding))
}
