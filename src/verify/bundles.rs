//! Every bundle against its checksum.

use super::report::{Finding, Kind, Report};
use super::structure;
use crate::error::ErrorKind;
use crate::h5::H5File;
use crate::store::Store;

/// Bundles that are read before structural changes may pass.
const PORTION: usize = 16;

const REMEDY: &str = "compare with a copy, or add it again from what it was made of";

/// Reads all bundles.
pub(super) fn check(store: &Store, bundles: &[String], report: &mut Report) -> Result<(), ErrorKind> {
    for portion in bundles.chunks(PORTION) {
        let found = store.look(|h5, _| portion.iter().map(|path| look_at(h5, path)).collect::<Result<Vec<_>, _>>())?;
        for (path, finding) in portion.iter().zip(found) {
            report.bundles += 1;
            if let Some(finding) = finding {
                report.add(finding.at(format!("/{path}")));
            }
        }
    }
    Ok(())
}

/// What is wrong with a bundle. One that was removed meanwhile is nobody's fault.
fn look_at(h5: &H5File, path: &str) -> Result<Option<Finding>, ErrorKind> {
    let written = match h5.bundle_sum(path) {
        Ok(Some(sum)) => sum,
        Ok(None) | Err(ErrorKind::NoSuchGroup(_)) => return Ok(None),
        Err(e) => return structure::of_error(e).map(Some),
    };
    let fault = |what: String| Ok(Some(Finding::fault(Kind::Bundle, what, REMEDY)));
    match h5.read_bundle(path, None) {
        Ok(bundle) if bundle.sum() == written => Ok(None),
        Ok(bundle) if bundle.members.len() as u64 != written.members() => {
            fault(format!("it has {} datasets, and was written with {}", bundle.members.len(), written.members()))
        }
        Ok(_) => fault("it does not match its checksum: damaged, or changed by another program".to_owned()),
        Err(ErrorKind::Io(e)) => Err(ErrorKind::Io(e)),
        Err(e) => fault(format!("it cannot be read: {e}")),
    }
}
