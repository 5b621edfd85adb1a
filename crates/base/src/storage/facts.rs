//! What the system says of a file at this moment.

use super::Identity;
use rustix::fs::{AtFlags, Statx, StatxFlags, makedev, statx};
use std::fs::File;
use std::io;

/// An [`Identity`], and when the file was last changed. On a network file system the server is asked, since a host
/// remembers such facts for up to a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) identity: Identity,
    /// Change time: seconds since 1970, and nanoseconds.
    pub(crate) changed: (i64, u32),
}

impl Facts {
    /// # Errors
    /// As statx(2).
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let fresh = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        Ok(statx(file, "", fresh, StatxFlags::BASIC_STATS)?.into())
    }
}

impl From<Statx> for Facts {
    fn from(found: Statx) -> Self {
        let identity = Identity {
            device: makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            len: found.stx_size,
            links: found.stx_nlink.into(),
        };
        Self { identity, changed: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec) }
    }
}
