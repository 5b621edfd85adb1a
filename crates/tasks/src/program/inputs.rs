//! Inputs of programs: small files that name their task. Each is used by one program at a time, and then reused.
//!
//! Creating and removing a file for each program would cost more than starting it.

use fs2::FileExt;
use h5part_base::storage::Identity;
use h5part_base::sync;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use uuid::Uuid;

/// Most bytes of a note that are read.
const NOTE: u64 = 4096;
/// Notes are appended, and the file is emptied once it has this many bytes, since truncating it takes longer.
const LONGEST: u64 = 1 << 16;

/// The inputs of one runner, in a folder that several runners share.
#[derive(Debug)]
pub struct Inputs {
    folder: PathBuf,
    /// Part of the names of this runner's inputs.
    id: String,
    /// Tasks whose programs had an input when this runner began.
    met: HashSet<String>,
    state: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    free: Vec<PathBuf>,
    /// Inputs that something still had open when their programs had ended.
    left: Vec<PathBuf>,
    made: u32,
}

/// Who uses an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) group: i32,
    pub(super) host: String,
    /// The task's name, escaped.
    pub(super) task: String,
}

impl Note {
    pub(super) fn text(&self) -> String {
        format!("{} {} {}\n", self.group, self.host, self.task)
    }

    /// Parses the last note.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.rsplit('\n').next()?.splitn(3, ' ');
        let group = words.next()?.parse().ok().filter(|&group| group > 1)?;
        Some(Self { group, host: words.next()?.to_owned(), task: words.next()?.to_owned() })
    }

    pub(super) fn read(mut file: &File) -> Option<Self> {
        let len = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(NOTE))).ok()?;
        let mut bytes = Vec::new();
        file.take(NOTE).read_to_end(&mut bytes).ok()?;
        Self::parse(&String::from_utf8_lossy(&bytes))
    }
}

impl Inputs {
    /// Creates inputs in this folder, which is created if it is missing. Inputs that killed runners left and nothing
    /// has open are removed.
    ///
    /// # Errors
    /// As making the folder.
    pub fn new(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let id = Uuid::new_v4().simple().to_string();
        let mut inputs = Self { folder, id, met: HashSet::new(), state: Mutex::default() };
        for path in inputs.all() {
            if is_free(&path) {
                // If it belongs to a live runner, it is an unused one, and the runner makes another.
                let _ = std::fs::remove_file(path);
            } else if let Some(note) = File::open(path).ok().and_then(|file| Note::read(&file)) {
                inputs.met.insert(note.task);
            }
        }
        Ok(inputs)
    }

    /// Takes an unused input, locked and positioned at its end, so that whoever reads it reads nothing.
    pub(super) fn take(&self) -> io::Result<(File, PathBuf)> {
        loop {
            let path = self.next();
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            // A process that a program left behind, or another runner that cleans up, may have it.
            if FileExt::try_lock(&file).is_ok() && is_named(&file, &path) {
                if file.seek(SeekFrom::End(0))? > LONGEST {
                    file.set_len(0)?;
                    file.rewind()?;
                }
                return Ok((file, path));
            }
        }
    }

    fn next(&self) -> PathBuf {
        let mut state = sync::lock(&self.state);
        if let Some(path) = state.free.pop() {
            return path;
        }
        state.made += 1;
        self.folder.join(format!("{}-{}", self.id, state.made))
    }

    /// Returns an input whose program has ended. `false`: something that the program started still lives, so the input
    /// stays for others to see.
    pub(super) fn give_back(&self, path: PathBuf) -> bool {
        // It may be in use for a moment: another thread is just starting a program, which has all descriptors until it
        // begins.
        let is_free = is_free(&path);
        let mut state = sync::lock(&self.state);
        if is_free { &mut state.free } else { &mut state.left }.push(path);
        is_free
    }

    /// Whether a program of this task had an input when this runner began.
    pub(super) fn has_met(&self, task: &str) -> bool {
        self.met.contains(task)
    }

    /// Inputs of any runner that programs of this task still have.
    pub(super) fn held_for(&self, task: &str) -> Vec<(File, Note)> {
        let noted = |path: PathBuf| {
            let file = File::open(path).ok()?;
            let note = Note::read(&file).filter(|note| note.task == task)?;
            FileExt::try_lock_shared(&file).is_err().then_some((file, note))
        };
        self.all().filter_map(noted).collect()
    }

    fn all(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        let Files { free, left, .. } = sync::get_mut(&mut self.state);
        for path in free.iter().chain(left.iter().filter(|path| is_free(path))) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether a file still has its name. It may have been removed between our open and our lock.
pub(super) fn is_named(file: &File, path: &Path) -> bool {
    let named = std::fs::metadata(path).map(Identity::from);
    let own = file.metadata().map(Identity::from);
    named.is_ok_and(|named| own.is_ok_and(|own| named.same_file(&own)))
}

fn is_free(path: &Path) -> bool {
    h5part_base::lock::open_to_lock(path).is_ok_and(|file| FileExt::try_lock(&file).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn inputs_are_used_again_when_nothing_has_them() {
        let folder = tempfile::tempdir().expect("tempdir");
        let count = || std::fs::read_dir(folder.path()).expect("folder").count();
        let inputs = Inputs::new(folder.path().to_owned()).expect("inputs");
        let note = Note { group: 7, host: "h".to_owned(), task: "a b\\n".to_owned() };
        for _ in 0..3 {
            let (mut file, path) = inputs.take().expect("takes");
            file.write_all(note.text().as_bytes()).expect("writes");
            assert_eq!(inputs.held_for("a b\\n").len(), 1);
            assert_eq!((inputs.held_for("a b\\n")[0].1.clone(), inputs.held_for("a").len()), (note.clone(), 0));
            drop(file);
            assert!(inputs.give_back(path) && inputs.held_for("a b\\n").is_empty());
        }
        assert_eq!(count(), 1);
        let (mut file, path) = inputs.take().expect("takes");
        let other = Note { task: "b".to_owned(), ..note };
        file.write_all(other.text().as_bytes()).expect("writes");
        assert_eq!((inputs.held_for("b").len(), inputs.held_for("a b\\n").len()), (1, 0), "the last note counts");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("reads");
        assert!(text.is_empty(), "{text}");
        drop(file);
        assert!(inputs.give_back(path));
        let (left, path) = inputs.take().expect("takes");
        assert!(!inputs.give_back(path), "something has it still");
        let (_, other) = inputs.take().expect("takes");
        drop(Inputs::new(folder.path().to_owned()).expect("inputs"));
        assert_eq!(count(), 1, "what is held stays, and what is free goes");
        drop((left, other, inputs));
        drop(Inputs::new(folder.path().to_owned()).expect("inputs"));
        assert_eq!(count(), 0);
    }

    #[test]
    fn notes_are_read_when_they_are_whole() {
        let note = Note { group: 12, host: "n1".to_owned(), task: "t 1".to_owned() };
        assert_eq!(Note::parse(&note.text()), Some(note));
        for text in ["", "12 n1 t", "1 n1 t\n", "x n1 t\n", "12\n"] {
            assert_eq!(Note::parse(text), None, "{text}");
        }
    }
}
