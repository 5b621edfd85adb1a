//! Open-file-description byte-range locks (fcntl(2), `F_OFD_*`). They belong to the descriptor: closing another
//! descriptor of the same file in the process does not release them.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::io;
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Shared,
    Exclusive,
    Unlock,
}

/// The kernel's constants are `int`, but its structure has `short`s.
const fn short(constant: libc::c_int) -> libc::c_short {
    constant.to_le_bytes()[0] as libc::c_short
}

fn request(kind: Kind, range: &Range<u64>) -> io::Result<libc::flock> {
    let kind = match kind {
        Kind::Shared => libc::F_RDLCK,
        Kind::Exclusive => libc::F_WRLCK,
        Kind::Unlock => libc::F_UNLCK,
    };
    let offset = |n: u64| i64::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    Ok(libc::flock {
        l_type: short(kind),
        l_whence: short(libc::SEEK_SET),
        l_start: offset(range.start)?,
        l_len: offset(range.end.saturating_sub(range.start))?,
        l_pid: 0,
    })
}

/// Locks or releases a range without waiting. `false`: someone else holds a part of it.
pub(super) fn set(file: &File, kind: Kind, range: &Range<u64>) -> io::Result<bool> {
    let request = request(kind, range)?;
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&request)) {
            Ok(_) => return Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// The first range held by others that conflicts with locking `range`, clipped to it.
pub(super) fn conflict(file: &File, kind: Kind, range: &Range<u64>) -> io::Result<Option<Range<u64>>> {
    let mut request = request(kind, range)?;
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut request))?;
    if request.l_type == short(libc::F_UNLCK) {
        return Ok(None);
    }
    let start = u64::try_from(request.l_start).unwrap_or(0);
    let end = match u64::try_from(request.l_len) {
        Ok(0) | Err(_) => u64::MAX,
        Ok(len) => start.saturating_add(len),
    };
    Ok(Some(start.max(range.start)..end.min(range.end)))
}
