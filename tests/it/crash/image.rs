//! The content of a disk, and the calls that changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Stands for a folder in place of a file's number.
pub const FOLDER: u64 = 0;

/// Files by number, and their names. Names are relative to the folder of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub names: BTreeMap<PathBuf, u64>,
    pub files: BTreeMap<u64, Vec<u8>>,
}

/// Names that start to refer to another file, or to none: all together, or not at all.
pub type Named = Vec<(PathBuf, Option<u64>)>;

/// A call that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Write {
        file: u64,
        address: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        file: u64,
        len: u64,
    },
    Sync {
        file: u64,
    },
    Names(Named),
    SyncFolder(PathBuf),
    /// The caller was told that something is done; one bit for each such thing.
    Ack(u64),
}

/// The calls that were made, and the disk that they started from.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// All of it is durable.
    pub start: Image,
    pub log: Vec<Op>,
}

/// Calls that make something durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// Sync number `.1`, counted from 0, of the files whose names end with `.0`.
    Sync(&'static str, usize),
    /// Sync number `.1` of the folders whose names end with `.0`.
    Folder(&'static str, usize),
}

/// The number of the file with this name, unless a folder on its path does not exist.
pub fn number(names: &BTreeMap<PathBuf, u64>, name: &Path) -> Option<u64> {
    let mut folders = name.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    let file = names.get(name).copied().filter(|&file| file != FOLDER)?;
    folders.all(|folder| names.contains_key(folder)).then_some(file)
}

impl Image {
    /// The file of this name.
    pub fn number(&self, name: &Path) -> Option<u64> {
        number(&self.names, name)
    }

    pub fn bytes(&self, name: &str) -> &[u8] {
        self.number(Path::new(name)).and_then(|file| self.files.get(&file)).map_or(&[], Vec::as_slice)
    }

    /// All files that have a name.
    pub fn reachable(&self) -> impl Iterator<Item = (&PathBuf, u64)> {
        self.names.keys().filter_map(|name| Some((name, self.number(name)?)))
    }
}

impl Recording {
    /// Numbers of all files that have, or get, a name with this ending.
    pub fn numbers(&self, end: &str) -> BTreeSet<u64> {
        let given = self.log.iter().filter_map(|op| if let Op::Names(named) = op { Some(named) } else { None });
        let given = given.flatten().filter_map(|(name, file)| Some((name, (*file)?)));
        let all = self.start.names.iter().map(|(name, file)| (name, *file)).chain(given);
        all.filter(|(name, file)| name.to_string_lossy().ends_with(end) && *file != FOLDER).map(|(_, f)| f).collect()
    }

    /// The number of the only file with this ending.
    pub fn number(&self, end: &str) -> u64 {
        let numbers = self.numbers(end);
        assert_eq!(numbers.len(), 1, "{end}: {numbers:?}");
        numbers.into_iter().next().expect("one")
    }

    /// How often the files with this ending are synced.
    pub fn syncs(&self, end: &str) -> usize {
        let files = self.numbers(end);
        self.log.iter().filter(|op| matches!(op, Op::Sync { file } if files.contains(file))).count()
    }

    /// Names and numbers of the files of writers.
    pub fn dead_writers(&self) -> Vec<(PathBuf, u64)> {
        self.numbers(".writer").into_iter().map(|file| (dead(file), file)).collect()
    }

    /// Marks the writers as dead: renames their files accordingly.
    pub fn bury(&mut self) {
        let is_writer = |name: &PathBuf| name.to_string_lossy().ends_with(".writer");
        let names = std::mem::take(&mut self.start.names).into_iter();
        self.start.names = names.map(|(name, file)| (if is_writer(&name) { dead(file) } else { name }, file)).collect();
        for op in &mut self.log {
            let Op::Names(named) = op else { continue };
            for (name, file) in named.iter_mut().filter(|(name, _)| is_writer(name)) {
                *name = file.map_or_else(|| name.clone(), dead);
            }
        }
    }

    /// Adds the creation of the sidecar, whose name no sync has made durable.
    pub fn folders_are_new(&mut self) {
        let folders: Vec<_> = self.start.names.iter().filter(|(_, file)| **file == FOLDER).collect();
        let ops: Vec<Op> = folders.into_iter().map(|(name, _)| Op::Names(vec![(name.clone(), Some(FOLDER))])).collect();
        self.start.names.retain(|_, file| *file != FOLDER);
        self.log.splice(0..0, ops);
    }

    /// The same recording, as if this one call had done nothing.
    pub fn without(&self, barrier: Barrier) -> Self {
        let files = if let Barrier::Sync(end, _) = barrier { self.numbers(end) } else { BTreeSet::new() };
        let is_one = |op: &Op| match (op, barrier) {
            (Op::Sync { file }, Barrier::Sync(..)) => files.contains(file),
            (Op::SyncFolder(folder), Barrier::Folder(end, _)) => folder.to_string_lossy().ends_with(end),
            _ => false,
        };
        let (Barrier::Sync(_, ordinal) | Barrier::Folder(_, ordinal)) = barrier;
        let all: Vec<usize> = (0..self.log.len()).filter(|&at| is_one(&self.log[at])).collect();
        let at = *all.get(ordinal).unwrap_or_else(|| panic!("{barrier:?}: there are only {}", all.len()));
        let mut other = self.clone();
        other.log.remove(at);
        other
    }
}

fn dead(file: u64) -> PathBuf {
    PathBuf::from(format!("a.h5.part/records/1-dead{file}.writer"))
}
