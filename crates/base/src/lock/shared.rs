//! Stores that several hosts write by NFS: which mounts allow it, and the mark that tells everyone.

use super::filesystem::{FileSystem, Why};
use super::paths::Paths;
use crate::error::Remedy;
use crate::storage::{Shared, is_on_nfs, refresh};
use std::fs;
use std::io;
use std::path::Path;

/// What the mark holds, for people who look at it.
const MARK: &str = "nfs\n";

/// What this host's NFS client says beyond the mount options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Client {
    /// How long the server keeps the locks of a host that does not answer.
    lease_s: Option<u64>,
    /// The kind of layout with which clients bypass the server, if there is one.
    pnfs: Option<String>,
    /// Whether the client takes locks again that the server gave away.
    recovers_lost_locks: bool,
}

impl Shared {
    /// How a store is shared, as the mark in its sidecar says.
    #[must_use]
    pub fn by_mark(paths: &Paths) -> Self {
        let is_marked = || fs::exists(&paths.shared_mark).unwrap_or(false);
        let again = || {
            let on_nfs = paths.file.parent().is_some_and(is_on_nfs);
            on_nfs && {
                refresh(&paths.sidecar);
                is_marked()
            }
        };
        if is_marked() || again() { Self::Nfs } else { Self::Local }
    }

    /// Marks a store, so that every later program shares it in the same way or is refused.
    ///
    /// # Errors
    /// As open(2) and write(2).
    pub fn mark(self, paths: &Paths) -> io::Result<()> {
        if self == Self::Local || fs::exists(&paths.shared_mark)? {
            Ok(())
        } else {
            fs::write(&paths.shared_mark, MARK)
        }
    }

    /// Why writing in this way is refused on a file system.
    #[must_use]
    pub fn refusal(self, system: &FileSystem) -> Option<Why> {
        match self {
            Self::Local => system.sharing().refusal(),
            Self::Nfs => refusal(system, &Client::of(system)),
        }
    }
}

/// For how many seconds the server keeps the locks of a host that has died, if the path is on NFS 4.
#[must_use]
pub fn lease_s(path: &Path) -> Option<u64> {
    if is_on_nfs(path) { Client::of(&FileSystem::of(path)).lease_s } else { None }
}

fn refusal(system: &FileSystem, client: &Client) -> Option<Why> {
    let has = |option: &str| system.mount.as_ref().is_some_and(|mount| mount.has(option));
    let local = |kind: &str| has(&format!("local_lock={kind}"));
    let block_layout = client.pnfs.as_deref().is_some_and(|kind| kind.contains("BLOCK") || kind.contains("SCSI"));
    let (what, remedy) = match system.kind.as_str() {
        "nfs4" if has("vers=4.0") => ("NFS 4.0 does not keep late writes of a host from landing", Remedy::MountNfs),
        "nfs4" if has("nolock") || local("all") || local("flock") || local("posix") => {
            ("each host keeps its locks to itself ('nolock' or 'local_lock')", Remedy::MountNfs)
        }
        "nfs4" if has("soft") || has("softerr") => (
            "'soft' or 'softerr': a write that timed out may land later, when its row has another value",
            Remedy::MountNfs,
        ),
        "nfs4" if client.recovers_lost_locks => {
            ("this host takes locks again that the server gave to others", Remedy::NoLostLocks)
        }
        "nfs4" if block_layout => {
            ("hosts write to the disks themselves, in whole blocks (pNFS)", Remedy::NoBlockLayout)
        }
        "nfs4" if client.lease_s == Some(0) => {
            ("the server gives no lease, so it may free the locks of the living", Remedy::GiveLease)
        }
        "nfs4" => return None,
        "nfs" => ("before version 4.1, NFS lets a host write whose locks were given away", Remedy::MountNfs),
        _ => ("the store is shared by NFS, but this is not an NFS mount", Remedy::MountAsOthers),
    };
    Some(Why { what, remedy })
}

impl Client {
    fn of(system: &FileSystem) -> Self {
        let text = fs::read_to_string("/proc/self/mountstats").unwrap_or_default();
        let point = system.mount.as_ref().map(|mount| mount.point.display().to_string()).unwrap_or_default();
        let lost = fs::read_to_string("/sys/module/nfs/parameters/recover_lost_locks").unwrap_or_default();
        Self { recovers_lost_locks: lost.trim() == "Y", ..Self::parse(&text, &point) }
    }

    /// Finds a mount in `/proc/self/mountstats`. The last one with this mount point hides the others.
    fn parse(text: &str, point: &str) -> Self {
        let at = format!(" mounted on {point} with ");
        let mut found = Self::default();
        let mut is_here = false;
        for line in text.lines() {
            if line.starts_with("device ") {
                is_here = line.contains(&at);
                if is_here {
                    found = Self::default();
                }
            } else if let (true, Some(facts)) = (is_here, line.trim_start().strip_prefix("nfsv4:")) {
                for (name, value) in facts.split(',').filter_map(|fact| fact.trim().split_once('=')) {
                    match name {
                        "lease_time" => found.lease_s = value.parse().ok(),
                        "pnfs" if value != "not configured" => found.pnfs = Some(value.to_owned()),
                        _ => {}
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::mounts::Mount;
    use super::*;

    const STATS: &str = "device /dev/vda mounted on / with fstype ext4\n\
        device srv:/old mounted on /n with fstype nfs4 statvers=1.1\n\
        \tnfsv4:\tbm0=0xfdffbfff,bm1=0x40f9be3e,bm2=0x60803,acl=0x3,sessions,pnfs=LAYOUT_SCSI,lease_time=5,lease_expired=0\n\
        device srv:/x mounted on /n with fstype nfs4 statvers=1.1\n\
        \topts:\trw,vers=4.2\n\
        \tnfsv4:\tbm0=0xfdffbfff,bm1=0x40f9be3e,bm2=0x60803,acl=0x3,sessions,pnfs=not configured,lease_time=90,lease_expired=0\n\
        device srv:/y mounted on /other with fstype nfs4 statvers=1.1\n\
        \tnfsv4:\tbm0=0x1,sessions,pnfs=LAYOUT_BLOCK_VOLUME,lease_time=0,lease_expired=0\n";

    fn system(kind: &str, options: &str) -> FileSystem {
        let line = format!("98 27 0:52 / /n rw,relatime - {kind} server:/x {options}");
        FileSystem { kind: kind.to_owned(), mount: Mount::parse(&line) }
    }

    #[test]
    fn what_the_client_says_of_a_mount() {
        let here = Client::parse(STATS, "/n");
        assert_eq!(here, Client { lease_s: Some(90), ..Client::default() });
        let other = Client::parse(STATS, "/other");
        assert_eq!((other.lease_s, other.pnfs.as_deref()), (Some(0), Some("LAYOUT_BLOCK_VOLUME")));
        assert_eq!(Client::parse(STATS, "/none"), Client::default());
    }

    #[test]
    fn mounts_that_may_be_shared_and_those_that_may_not() {
        const GOOD: &str = "rw,vers=4.2,hard,proto=tcp,local_lock=none";
        let client = Client { lease_s: Some(90), ..Client::default() };
        let of = |kind: &str, options: &str, client: &Client| refusal(&system(kind, options), client);
        assert_eq!(of("nfs4", GOOD, &client), None);
        assert_eq!(of("nfs4", "rw,vers=4.1,hard,local_lock=none", &client), None);
        for (kind, options, client, what) in [
            ("ext4", "rw", client.clone(), "not an NFS mount"),
            ("nfs", "rw,vers=3,hard,local_lock=none", client.clone(), "before version 4.1"),
            ("nfs4", "rw,vers=4.0,hard,local_lock=none", client.clone(), "4.0"),
            ("nfs4", "rw,vers=4.2,hard,local_lock=all", client.clone(), "to itself"),
            ("nfs4", "rw,vers=4.2,hard,local_lock=posix", client.clone(), "to itself"),
            ("nfs4", "rw,vers=4.2,hard,nolock", client.clone(), "to itself"),
            ("nfs4", "rw,vers=4.2,soft,local_lock=none", client.clone(), "'soft'"),
            ("nfs4", "rw,vers=4.2,softerr,local_lock=none", client.clone(), "'soft'"),
            ("nfs4", GOOD, Client { recovers_lost_locks: true, ..client.clone() }, "takes locks again"),
            ("nfs4", GOOD, Client { pnfs: Some("LAYOUT_SCSI".to_owned()), ..client.clone() }, "pNFS"),
            ("nfs4", GOOD, Client { lease_s: Some(0), ..client.clone() }, "lease"),
        ] {
            let why = of(kind, options, &client).unwrap_or_else(|| panic!("{kind} {options} {client:?} is refused"));
            assert!(why.what.contains(what), "{kind} {options}: {}", why.what);
        }
        let files = Client { pnfs: Some("LAYOUT_NFSV4_1_FILES".to_owned()), ..client };
        assert_eq!(of("nfs4", GOOD, &files), None);
    }
}
