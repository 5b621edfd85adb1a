//! What to do where writers cannot share a file, in words that hold for every way to use the store.

use serde::{Serialize, Serializer};
use std::fmt;

/// What to do where writers cannot share a file, or where it is not known whether they can. Shown and serialized as a
/// sentence; a program that knows its own commands can name them instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Each worker writes its own file, all write on the host's own disk, or a single host writes.
    WriteElsewhere,
    /// Each worker writes its own file, or a single host writes.
    OwnFilesOrOneHost,
    /// Another file system is used, or each worker writes its own file.
    OtherFileSystem,
    /// The file system is mounted with `flock`. Until then each worker writes its own file on another one.
    MountWithFlock,
    /// The file system is mounted with `flock`. Until then each worker writes its own file, or a single host writes.
    MountWithFlockOrOneHost,
    /// All programs say that the store is shared by NFS.
    ShareByNfs,
    /// It is mounted by NFS 4.1 or newer, `hard`, with locks on the server.
    MountNfs,
    /// This host mounts the folder as the other hosts do.
    MountAsOthers,
    /// The kernel module `nfs` does not take lost locks again.
    NoLostLocks,
    /// The server grants no pNFS layouts of blocks.
    NoBlockLayout,
    /// The server gives a lease.
    GiveLease,
    /// The locks are tested between hosts, and trusted if they hold.
    TestAndTrust,
    /// The locks are tested between hosts before several hosts write.
    TestBetweenHosts,
    /// The file keeps one name.
    KeepOneName,
}

impl Remedy {
    /// The sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WriteElsewhere => {
                "let each worker write its own file and merge the files, write on the host's own disk, or let a single \
                 host write and trust its locks"
            }
            Self::OwnFilesOrOneHost => {
                "let each worker write its own file and merge the files, or let a single host write"
            }
            Self::OtherFileSystem => {
                "write on another file system, or let each worker write its own file and merge the files"
            }
            Self::MountWithFlock => {
                "mount it with 'flock' on all hosts; until then let each worker write a file of its own on another \
                 file system"
            }
            Self::MountWithFlockOrOneHost => {
                "mount it with 'flock' on all hosts; until then let each worker write its own file and merge the \
                 files, or let a single host write and trust its locks"
            }
            Self::ShareByNfs => {
                "say that the store is shared by NFS, let each worker write its own file and merge the files, or let a \
                 single host write and trust its locks"
            }
            Self::MountNfs => {
                "mount it on all hosts with 'vers=4.1' or newer and 'hard', without 'nolock' and 'local_lock'"
            }
            Self::MountAsOthers => {
                "write from a host that mounts it by NFS; if no other host uses the store any more, remove the file \
                 'shared' in its folder FILE.part"
            }
            Self::NoLostLocks => "set recover_lost_locks=0 for the kernel module nfs on all hosts, and mount it again",
            Self::NoBlockLayout => "export it without 'pnfs', and mount it again",
            Self::GiveLease => "set the server's lease to at least 10 s (/proc/fs/nfsd/nfsv4leasetime)",
            Self::TestAndTrust => {
                "test the locks between hosts; if all tests pass, trust them, else let each worker write its own file \
                 and merge the files"
            }
            Self::TestBetweenHosts => "before several hosts write, test the locks between them",
            Self::KeepOneName => "keep one name, e.g. by a copy; a symbolic link is fine",
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Remedy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
