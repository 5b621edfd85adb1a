//! A disk in memory that keeps a log of every change.
//!
//! Locks and owner notes use the file system directly; placeholders with the same names exist there.

use super::image::{FOLDER, Image, Named, Op, Recording, number};
use h5part_base::storage::{Disk, Identity, Mode, Storage, StorageFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The folder of the store.
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Arc<RwLock<Vec<u8>>>>,
    recording: Option<Recording>,
}

#[derive(Debug)]
struct File {
    number: u64,
    bytes: Arc<RwLock<Vec<u8>>>,
    memory: Memory,
}

impl Memory {
    /// An empty disk, whose placeholders are in `root`.
    pub fn new(root: &Path) -> Self {
        let root = root.canonicalize().expect("folder");
        Self(Arc::new(Shared { root, state: Mutex::default() }))
    }

    /// A disk with the files of `root` on the real disk.
    pub fn taken_from(root: &Path) -> Self {
        let memory = Self::new(root);
        let mut folders = vec![memory.0.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                let mut state = memory.lock();
                if path.is_dir() {
                    state.names.insert(memory.name(&path), FOLDER);
                    folders.push(path);
                } else {
                    state.add(memory.name(&path), std::fs::read(&path).expect("read"));
                }
            }
        }
        memory
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("lock")
    }

    fn name(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.0.root).expect("absolute, in the folder of the store").to_owned()
    }

    /// Replaces the content of the disk. Open files stay open, on the file with the same number.
    pub fn put(&self, image: &Image) {
        let mut state = self.lock();
        state.names.clone_from(&image.names);
        for (number, bytes) in &image.files {
            state.files.entry(*number).or_default().write().expect("lock").clone_from(bytes);
        }
    }

    /// Changes the bytes of one file without logging it.
    pub fn edit<T>(&self, number: u64, body: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let file = Arc::clone(&self.lock().files[&number]);
        body(&mut file.write().expect("lock"))
    }

    pub fn image(&self) -> Image {
        self.lock().image()
    }

    /// Starts the log.
    pub fn record(&self) {
        let mut state = self.lock();
        state.recording = Some(Recording { start: state.image(), log: Vec::new() });
    }

    /// Ends the log.
    pub fn recorded(&self) -> Recording {
        self.lock().recording.take().expect("one was begun")
    }

    /// Logs that the caller has been told that these things are done.
    pub fn acknowledge(&self, bits: u64) {
        self.lock().log(Op::Ack(bits));
    }

    fn set_names(&self, named: Named) {
        self.lock().set_names(named);
    }

    fn open_number(&self, path: &Path, mode: Mode) -> io::Result<u64> {
        let name = self.name(path);
        let mut state = self.lock();
        match (mode, number(&state.names, &name)) {
            (Mode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Mode::Read | Mode::Write, Some(number)) => return Ok(number),
            (Mode::Read | Mode::Write, None) if !path.is_file() => return Err(io::ErrorKind::NotFound.into()),
            _ => {}
        }
        // For an owner note only the durability of its name matters, not that of its text.
        let bytes = if mode == Mode::CreateNew { Vec::new() } else { std::fs::read(path)? };
        let number = state.files.keys().max().map_or(1, |most| most + 1);
        state.files.insert(number, Arc::new(RwLock::new(bytes.clone())));
        if let Some(recording) = &mut state.recording {
            recording.start.files.insert(number, bytes);
        }
        state.set_names(vec![(name, Some(number))]);
        Ok(number)
    }
}

impl State {
    fn add(&mut self, name: PathBuf, bytes: Vec<u8>) {
        let number = self.files.keys().max().map_or(1, |most| most + 1);
        self.files.insert(number, Arc::new(RwLock::new(bytes)));
        self.names.insert(name, number);
    }

    fn image(&self) -> Image {
        let files = self.files.iter().map(|(number, bytes)| (*number, bytes.read().expect("lock").clone()));
        Image { names: self.names.clone(), files: files.collect() }
    }

    fn log(&mut self, op: Op) {
        if let Some(recording) = &mut self.recording {
            recording.log.push(op);
        }
    }

    fn set_names(&mut self, named: Named) {
        for (name, file) in &named {
            match file {
                Some(file) => self.names.insert(name.clone(), *file),
                None => self.names.remove(name),
            };
        }
        self.log(Op::Names(named));
    }
}

impl Storage for Memory {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let number = self.open_number(path, mode)?;
        let bytes = Arc::clone(&self.lock().files[&number]);
        Ok(Box::new(File { number, bytes, memory: self.clone() }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        let state = self.lock();
        let file = number(&state.names, &self.name(path)).ok_or(io::ErrorKind::NotFound)?;
        let len = state.files[&file].read().expect("lock").len() as u64;
        Ok(Identity { device: 1, inode: file, len, links: 1 })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = number(&self.lock().names, &self.name(from)).ok_or(io::ErrorKind::NotFound)?;
        self.set_names(vec![(self.name(from), None), (self.name(to), Some(file))]);
        if from.exists() { Disk.rename(from, to) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.set_names(vec![(self.name(path), None)]);
        if path.exists() { Disk.remove(path) } else { Ok(()) }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.lock().log(Op::SyncFolder(self.name(path)));
        Ok(())
    }
}

impl StorageFile for File {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        let bytes = self.bytes.read().expect("lock");
        let start = usize::try_from(address).expect("small");
        let found = bytes.get(start..start + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        let mut bytes = self.bytes.write().expect("lock");
        let start = usize::try_from(address).expect("small");
        let len = bytes.len().max(start + buf.len());
        bytes.resize(len, 0);
        bytes[start..start + buf.len()].copy_from_slice(buf);
        drop(bytes);
        self.memory.lock().log(Op::Write { file: self.number, address, bytes: buf.to_vec() });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.write().expect("lock").resize(usize::try_from(len).expect("small"), 0);
        self.memory.lock().log(Op::SetLen { file: self.number, len });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.memory.lock().log(Op::Sync { file: self.number });
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        let len = self.bytes.read().expect("lock").len() as u64;
        Ok(Identity { device: 1, inode: self.number, len, links: 1 })
    }
}
