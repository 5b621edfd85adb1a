//! File systems whose advisory locks are not visible to everyone who may share a file.
//!
//! These statements follow from the kind and the options of a mount alone. `doctor` also tests the locks.

use super::mounts::Mount;
use crate::error::Remedy;
use nix::sys::statfs::statfs;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Who may share a file of a file system for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Everyone who can reach it.
    Safe(Reach),
    /// Nothing is known for or against it.
    Unknown(&'static str),
    /// Only the processes of one host.
    OneHost(Why),
    /// Nobody.
    Unsafe(Why),
}

/// Who can reach a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The processes of this host.
    ThisHost,
    /// The processes of all hosts that mount it.
    AllHosts,
}

/// Why sharing is refused, and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// What is wrong.
    pub what: &'static str,
    /// What to do.
    pub remedy: Remedy,
}

/// A file system, as the system describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind: `ext4`, `nfs4`, `fuse.sshfs`.
    pub kind: String,
    /// Its line in the mount table, if it has one.
    pub mount: Option<Mount>,
}

const fn why(what: &'static str) -> Why {
    Why { what, remedy: Remedy::WriteElsewhere }
}

/// File systems that are known only by the number that statfs(2) gives (linux/magic.h).
const MAGIC: [(i64, &str); 9] = [
    (0x6969, "nfs"),
    (0x517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb3"),
    (0x5346_414F, "afs"),
    (0x6B41_4653, "afs"),
    (0x7375_7245, "coda"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
];

impl FileSystem {
    /// The file system of a path that exists.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match Mount::at(path) {
            Some(mount) => Self { kind: mount.kind.clone(), mount: Some(mount) },
            None => Self { kind: by_number(path).to_owned(), mount: None },
        }
    }

    /// Who may share files on it for writing.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        let options = self.mount.as_ref().map(|mount| mount.options.as_slice()).unwrap_or_default();
        Sharing::of(&self.kind, options)
    }

    /// Why an acknowledged commit may not survive loss of power here, if that is visible.
    #[must_use]
    pub fn forgets(&self) -> Option<&'static str> {
        let has = |option: &str| self.mount.as_ref().is_some_and(|mount| mount.has(option));
        match self.kind.as_str() {
            "tmpfs" | "ramfs" => Some("it is in memory: nothing on it survives loss of power"),
            // The current and the former name of the option in Linux.
            "overlay" if has("fsync=volatile") || has("volatile") => {
                Some("'volatile': syncs do nothing, and loss of power may lose everything")
            }
            _ if has("nobarrier") || has("barrier=0") => {
                Some("write barriers are off: a synced commit may be lost with the power")
            }
            _ => None,
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mount {
            Some(mount) => write!(f, "{} at {}", self.kind, mount.point.display()),
            None => write!(f, "{}", self.kind),
        }
    }
}

fn by_number(path: &Path) -> &'static str {
    let number = statfs(path).map(|found| i128::from(found.filesystem_type().0));
    let known = MAGIC.iter().find(|(magic, _)| number == Ok(i128::from(*magic)));
    known.map_or("of unknown kind", |(_, name)| *name)
}

impl Sharing {
    /// Decides by the kind and options of a file system.
    #[must_use]
    pub fn of(kind: &str, options: &[String]) -> Self {
        let has = |option: &str| options.iter().any(|o| o == option);
        match kind {
            "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "zfs" | "f2fs" | "bcachefs" | "jfs" | "nilfs2"
            | "reiserfs" | "tmpfs" | "ramfs" | "overlay" | "rootfs" | "vfat" | "exfat" | "ntfs3" | "hfsplus"
            | "udf" | "erofs" | "squashfs" | "iso9660" => Self::Safe(Reach::ThisHost),
            "ceph" => Self::Safe(Reach::AllHosts),
            "nfs" | "nfs4" => Self::OneHost(nfs(has)),
            "lustre" => lustre(has),
            "gfs2" => gfs2(has),
            "ocfs2" => ocfs2(options),
            "gpfs" => Self::Unknown("byte-range locks reach all hosts that mount it; flock(2) must be tested"),
            "beegfs" => Self::OneHost(Why {
                what: "unless the client is set to tuneUseGlobalFileLocks each host keeps its locks to itself, and \
                       clients buffer what they read",
                remedy: Remedy::TestAndTrust,
            }),
            "orangefs" | "pvfs2" if !has("local_lock") => Self::Unsafe(why("it has no locks")),
            "orangefs" | "pvfs2" => Self::OneHost(why("'local_lock': each host keeps its locks to itself")),
            "cifs" | "smb3" | "smb" | "smbfs" | "smb2" => Self::OneHost(smb(has)),
            "9p" => Self::OneHost(why("servers of 9p grant every lock, and clients may cache")),
            "afs" | "openafs" | "yfs" => Self::OneHost(why("each host keeps byte-range locks to itself")),
            "coda" => Self::OneHost(why("each host keeps its locks to itself")),
            "virtiofs" => Self::OneHost(why("each virtual machine keeps its locks to itself")),
            "vboxsf" | "prl_fs" | "vmhgfs" => Self::OneHost(why("host and guest keep their locks to themselves")),
            "fuseblk" => Self::OneHost(why("a program serves it, and its locks may not reach everyone")),
            _ if kind == "fuse" || kind.starts_with("fuse.") => Self::OneHost(why(
                "a program serves it (FUSE): each host keeps its locks to itself unless that program keeps them",
            )),
            _ => Self::Unknown("h5part knows nothing of its locks"),
        }
    }

    /// Why writing is refused here, unless the user overrules it.
    #[must_use]
    pub fn refusal(&self) -> Option<Why> {
        match self {
            Self::Safe(_) | Self::Unknown(_) => None,
            Self::OneHost(why) | Self::Unsafe(why) => Some(*why),
        }
    }
}

fn nfs(has: impl Fn(&str) -> bool) -> Why {
    if has("nolock") || has("local_lock=all") {
        why("each host keeps its locks to itself ('nolock' or 'local_lock=all')")
    } else if has("local_lock=flock") {
        why("each host keeps its flock(2) locks to itself ('local_lock=flock')")
    } else if has("local_lock=posix") {
        why("each host keeps its byte-range locks to itself ('local_lock=posix')")
    } else {
        Why {
            what: "hosts cache what they read and write whole pages over what others wrote, unless the store is shared \
                   by NFS",
            remedy: Remedy::ShareByNfs,
        }
    }
}

fn lustre(has: impl Fn(&str) -> bool) -> Sharing {
    // In the kernel the last option wins, and it shows only that one.
    if has("localflock") {
        Sharing::OneHost(Why {
            what: "each host keeps its locks to itself ('localflock')",
            remedy: Remedy::MountWithFlockOrOneHost,
        })
    } else if has("flock") {
        Sharing::Safe(Reach::AllHosts)
    } else {
        Sharing::Unsafe(Why { what: "locks are refused ('noflock')", remedy: Remedy::MountWithFlock })
    }
}

fn gfs2(has: impl Fn(&str) -> bool) -> Sharing {
    if has("lockproto=lock_nolock") {
        Sharing::Safe(Reach::ThisHost)
    } else if has("localflocks") {
        Sharing::OneHost(why("each host keeps its locks to itself ('localflocks')"))
    } else {
        Sharing::Safe(Reach::AllHosts)
    }
}

fn ocfs2(options: &[String]) -> Sharing {
    if options.iter().any(|o| o == "localflocks") {
        Sharing::OneHost(why("each host keeps its locks to itself ('localflocks')"))
    } else if options.iter().any(|o| o.starts_with("cluster_stack=") && o != "cluster_stack=o2cb") {
        Sharing::Safe(Reach::AllHosts)
    } else {
        Sharing::OneHost(why("with the o2cb stack each host keeps byte-range locks to itself"))
    }
}

fn smb(has: impl Fn(&str) -> bool) -> Why {
    if has("nobrl") {
        why("each host keeps its locks to itself ('nobrl')")
    } else {
        why("its locks forbid reading and writing, and hosts cache what they read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decides by a line of the mount table, as these file systems write it.
    fn sharing(line: &str) -> Sharing {
        let mount = Mount::parse(line).expect("a line of the table");
        FileSystem { kind: mount.kind.clone(), mount: Some(mount) }.sharing()
    }

    fn one_host(line: &str, because: &str) {
        match sharing(line) {
            Sharing::OneHost(why) => assert!(why.what.contains(because), "{line}: {why:?}"),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn file_systems_of_this_host_alone() {
        for line in [
            "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,errors=remount-ro",
            "61 27 253:3 / /var rw,relatime shared:30 - xfs /dev/mapper/vg-var rw,attr2,inode64,logbufs=8,noquota",
            "72 27 0:35 /@home /home rw,relatime shared:40 - btrfs /dev/nvme0n1p2 rw,ssd,space_cache=v2,subvolid=257,subvol=/@home",
            "25 24 0:23 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,size=24684096k,inode64",
            "500 499 0:77 / / rw,relatime - overlay overlay rw,lowerdir=/l2:/l1,upperdir=/u/diff,workdir=/u/work",
            "88 27 0:45 / /tank rw,noatime shared:50 - zfs tank/data rw,xattr,noacl",
            // A folder of a file system, mounted elsewhere.
            "90 27 8:1 /srv/data /data rw,relatime shared:5 - ext4 /dev/sda1 rw",
        ] {
            assert_eq!(sharing(line), Sharing::Safe(Reach::ThisHost), "{line}");
        }
    }

    #[test]
    fn nfs_with_its_ways_to_keep_locks_local() {
        let v3 = "98 27 0:52 / /home rw,relatime shared:60 - nfs server:/home rw,vers=3,rsize=1048576,hard,nolock,proto=tcp,mountproto=tcp,local_lock=all,addr=10.0.0.1";
        one_host(v3, "'nolock'");
        let v4 = |how: &str| {
            format!(
                "98 27 0:52 / /home rw,relatime - nfs4 server:/home rw,vers=4.2,hard,proto=tcp,timeo=600,clientaddr=10.0.0.2,local_lock={how},addr=10.0.0.1"
            )
        };
        one_host(&v4("all"), "local_lock=all");
        one_host(&v4("flock"), "flock(2)");
        one_host(&v4("posix"), "byte-range");
        one_host(&v4("none"), "whole pages");
    }

    #[test]
    fn lustre_by_its_flock_option() {
        let lustre = |options: &str| format!("120 27 899:10 / /scratch {options}");
        let with =
            "rw,nosuid - lustre 10.1.0.1@o2ib:10.1.0.2@o2ib:/scratch rw,checksum,flock,user_xattr,lruresize,lazystatfs";
        assert_eq!(sharing(&lustre(with)), Sharing::Safe(Reach::AllHosts));
        one_host(&lustre("rw - lustre mgs@tcp:/work rw,checksum,localflock,user_xattr"), "localflock");
        for none in ["rw - lustre mgs@tcp:/work rw,noflock,user_xattr", "rw - lustre mgs@tcp:/work rw,checksum"] {
            let Sharing::Unsafe(why) = sharing(&lustre(none)) else { panic!("{none}") };
            assert_eq!(why.remedy, Remedy::MountWithFlock, "{none}");
        }
    }

    #[test]
    fn other_file_systems_of_clusters() {
        let all = Sharing::Safe(Reach::AllHosts);
        assert_eq!(
            sharing("130 27 0:60 / /cephfs rw,relatime - ceph 10.0.0.1:6789:/ rw,name=admin,secret=<hidden>,acl"),
            all
        );
        assert_eq!(sharing("131 27 253:9 / /gfs rw,relatime - gfs2 /dev/mapper/c-gfs rw,errors=panic"), all);
        one_host("131 27 253:9 / /gfs rw,relatime - gfs2 /dev/mapper/c-gfs rw,localflocks", "localflocks");
        let alone = "131 27 253:9 / /gfs rw - gfs2 /dev/sdb1 rw,lockproto=lock_nolock";
        assert_eq!(sharing(alone), Sharing::Safe(Reach::ThisHost));
        one_host("132 27 253:8 / /ocfs rw - ocfs2 /dev/sdc rw,_netdev,heartbeat=local,nointr", "o2cb");
        assert_eq!(sharing("132 27 253:8 / /ocfs rw - ocfs2 /dev/sdc rw,heartbeat=none,cluster_stack=pcmk"), all);
        one_host(
            "133 27 0:61 / /mnt/beegfs rw,relatime - beegfs beegfs_nodev rw,cfgFile=/etc/beegfs/beegfs-client.conf",
            "tuneUseGlobalFileLocks",
        );
        assert!(matches!(sharing("134 27 0:62 / /orange rw - pvfs2 tcp://s:3334/pvfs2-fs rw"), Sharing::Unsafe(_)));
        one_host("134 27 0:62 / /orange rw - pvfs2 tcp://s:3334/pvfs2-fs rw,local_lock", "local_lock");
        let gpfs = sharing("135 27 0:63 / /gpfs/fs1 rw,relatime - gpfs fs1 rw,mtime,relatime,dev=fs1");
        assert!(matches!(gpfs, Sharing::Unknown(_)) && gpfs.refusal().is_none(), "{gpfs:?}");
    }

    #[test]
    fn what_programs_and_machines_serve() {
        one_host("140 27 0:70 / /mnt/win rw - cifs //srv/share rw,vers=3.1.1,cache=strict,nobrl,uid=0", "nobrl");
        one_host("140 27 0:70 / /mnt/win rw - cifs //srv/share rw,vers=3.1.1,cache=strict,uid=0", "forbid");
        one_host(
            "141 27 0:71 / /mnt/far rw,nosuid,nodev - fuse.sshfs me@far:/data rw,user_id=1000,group_id=1000",
            "FUSE",
        );
        one_host("142 27 8:20 / /mnt/usb rw - fuseblk /dev/sdb1 rw,user_id=0,allow_other,blksize=4096", "program");
        one_host("143 27 0:72 / /mnt/host rw - 9p hostshare rw,access=client,trans=virtio", "9p");
        one_host("144 27 0:73 / /mnt/v rw - virtiofs tag rw", "virtual");
        one_host("145 27 0:74 / /afs rw - afs none rw", "byte-range");
    }

    #[test]
    fn nothing_is_claimed_of_what_is_not_known() {
        let unknown = sharing("150 27 0:80 / /new rw - brandnewfs server rw,fast");
        assert!(matches!(unknown, Sharing::Unknown(_)) && unknown.refusal().is_none());
    }

    #[test]
    fn what_forgets_with_the_power() {
        let forgets = |line: &str| {
            let mount = Mount::parse(line).expect("line");
            FileSystem { kind: mount.kind.clone(), mount: Some(mount) }.forgets()
        };
        assert!(forgets("25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw").is_some());
        assert!(
            forgets("500 499 0:77 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w,volatile").is_some()
        );
        assert!(forgets("42 27 0:42 / /m rw - overlay overlay rw,lowerdir=/l,uuid=on,fsync=volatile").is_some());
        assert!(forgets("27 1 254:0 / / rw - ext4 /dev/vda rw,nobarrier").is_some());
        assert!(forgets("27 1 254:0 / / rw - ext4 /dev/vda rw").is_none());
    }

    #[test]
    #[cfg_attr(miri, ignore = "reads /proc and calls statfs")]
    fn a_path_of_this_system() {
        assert_eq!(FileSystem::of(Path::new("/proc/self")).kind, "proc");
        assert_eq!(by_number(Path::new("/proc/self")), "of unknown kind");
    }
}
