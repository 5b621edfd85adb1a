//! File systems whose advisory locks do not reach all who may share a file.

use nix::sys::statfs::statfs;
use std::path::Path;

/// Magic numbers of statfs(2) (linux/magic.h and the file systems' own sources).
const UNTRUSTED: [(i64, &str); 8] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x5346_414F, "AFS"),
    (0x7375_7245, "Coda"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
];

/// Name of the file system where sharing in place between hosts is not safe: clients write whole
/// cached pages over their neighbours' bytes, and a lock on the server is granted beside a client's.
#[must_use]
pub fn untrusted(path: &Path) -> Option<&'static str> {
    let kind = statfs(path).ok()?.filesystem_type().0;
    UNTRUSTED.iter().find(|(magic, _)| i128::from(*magic) == i128::from(kind)).map(|(_, name)| *name)
}
