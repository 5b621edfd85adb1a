//! The mount table, `/proc/self/mountinfo`.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A line of the mount table (`proc_pid_mountinfo(5)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount.
    pub id: u64,
    /// Device number, `major:minor`.
    pub device: String,
    /// The part of the file system that is mounted. It is not `/` for a bind mount or a subvolume.
    pub root: PathBuf,
    /// The mount point.
    pub point: PathBuf,
    /// Its kind: `ext4`, `nfs4`, `fuse.sshfs`.
    pub kind: String,
    /// What is mounted: a device, or a server's folder.
    pub source: String,
    /// Options of the mount, then those of the file system, without duplicates.
    pub options: Vec<String>,
}

impl Mount {
    /// Parses one line. `None`: it is not a line of the table.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        // Any number of optional fields lie between the two halves.
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ');
        let id = mount.next()?.parse().ok()?;
        let (_parent, device, root, point) = (mount.next()?, mount.next()?, mount.next()?, mount.next()?);
        let own = mount.next()?;
        let mut system = system.trim_end().split(' ');
        let (kind, source) = (system.next()?, system.next()?);
        let mut options: Vec<String> = Vec::new();
        for option in own.split(',').chain(system.next().unwrap_or_default().split(',')) {
            if !option.is_empty() && !options.iter().any(|known| known == option) {
                options.push(option.to_owned());
            }
        }
        Some(Self {
            id,
            device: device.to_owned(),
            root: unescaped(root).into(),
            point: unescaped(point).into(),
            kind: kind.to_owned(),
            source: unescaped(source).to_string_lossy().into_owned(),
            options,
        })
    }

    /// All lines of a table.
    #[must_use]
    pub fn table(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse).collect()
    }

    /// The mount that holds the absolute path `path`: the one with number `id`, else the one with the longest mount
    /// point; among several, the one mounted last.
    #[must_use]
    pub fn of<'a>(table: &'a [Self], path: &Path, id: Option<u64>) -> Option<&'a Self> {
        let by_id = id.and_then(|id| table.iter().find(|mount| mount.id == id));
        let above = || table.iter().filter(|mount| path.starts_with(&mount.point));
        by_id.or_else(|| above().max_by_key(|mount| mount.point.components().count()))
    }

    /// The mount that holds `path` now.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let table = Self::table(&std::fs::read_to_string("/proc/self/mountinfo").ok()?);
        Self::of(&table, &path, mount_id(&path)).cloned()
    }

    /// Whether this option is set, with or without a value.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

/// The number of the mount that a path leads to, since mounts may be hidden by others.
fn mount_id(path: &Path) -> Option<u64> {
    let flags = nix::libc::O_PATH;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// In names, blanks, tabs, newlines and backslashes are written as `\040`, in octal.
fn unescaped(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\');
        let code = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Mount {
        Mount::parse(line).expect("a line of the table")
    }

    #[test]
    fn lines_with_none_one_and_several_optional_fields() {
        let plain = one("27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resuid=65534");
        assert_eq!((plain.id, plain.kind.as_str(), plain.source.as_str()), (27, "ext4", "/dev/vda"));
        assert_eq!(plain.options, ["rw", "relatime", "discard", "resuid=65534"]);
        let shared =
            one("98 27 0:52 / /home rw,nosuid shared:60 - nfs4 server:/export/home rw,vers=4.2,local_lock=none");
        assert_eq!((shared.point.to_str(), shared.device.as_str()), (Some("/home"), "0:52"));
        let both = one("412 398 8:1 /srv/data /data ro,relatime shared:5 master:1 propagate_from:2 - xfs /dev/sda1 rw");
        assert_eq!(both.root.to_str(), Some("/srv/data"));
        assert_eq!(both.options, ["ro", "relatime", "rw"]);
        // Without options of the file system.
        assert!(one("1 0 0:1 / / rw - rootfs none").has("rw"));
    }

    #[test]
    fn escaped_names() {
        let mount = one(r"60 27 8:17 / /mnt/my\040disk\134x\011y\012 rw - vfat /dev/sd\040b rw");
        assert_eq!(mount.point.to_str(), Some("/mnt/my disk\\x\ty\n"));
        assert_eq!(mount.source, "/dev/sd b");
        assert_eq!(unescaped(r"a\04"), "a\\04");
        assert_eq!(unescaped(r"a\999b"), "a\\999b");
        assert_eq!(unescaped(r"\303\245"), "å");
    }

    #[test]
    fn what_is_no_line_is_none() {
        for text in ["", "27 1 254:0 / / rw,relatime", "x 1 254:0 / / rw - ext4 /dev/vda rw", "27 1 - ext4", " - "] {
            assert_eq!(Mount::parse(text), None, "{text:?}");
        }
    }

    const TABLE: &str = r"22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:40 / /data rw - nfs server:/data rw,nolock,local_lock=all
41 40 8:1 / /data/fast rw - xfs /dev/sda1 rw
42 27 8:1 /sub /data\040base rw - xfs /dev/sda1 rw
43 27 0:50 / /stacked rw - tmpfs lower rw
44 43 0:51 / /stacked rw - tmpfs upper rw
";

    #[test]
    fn the_longest_mount_point_wins_and_of_equals_the_last() {
        let table = Mount::table(TABLE);
        assert_eq!(table.len(), 7);
        let source = |path: &str| Mount::of(&table, Path::new(path), None).expect("found").source.as_str();
        assert_eq!(source("/home/a.h5"), "/dev/vda");
        assert_eq!(source("/data/a.h5"), "server:/data");
        assert_eq!(source("/data/fast"), "/dev/sda1");
        assert_eq!(source("/data/fast/x/y"), "/dev/sda1");
        // Not below /data/fast or /data: names are compared as a whole.
        assert_eq!(source("/data/faster"), "server:/data");
        assert_eq!(source("/database"), "/dev/vda");
        assert_eq!(source("/data base/a"), "/dev/sda1");
        assert_eq!(source("/stacked/a"), "upper");
    }

    #[test]
    fn a_known_number_decides() {
        let table = Mount::table(TABLE);
        let of = |id| Mount::of(&table, Path::new("/stacked/a"), Some(id)).expect("found").source.as_str();
        assert_eq!(of(43), "lower");
        assert_eq!(of(999), "upper", "a number that is not in the table says nothing");
    }

    #[test]
    #[cfg_attr(miri, ignore = "reads /proc")]
    fn the_mount_of_a_path_of_this_system() {
        let proc = Mount::at(Path::new("/proc/self/status")).expect("in the table");
        assert_eq!(proc.kind, "proc");
        assert_eq!(Mount::at(Path::new("/no/such/path")), None);
    }
}
