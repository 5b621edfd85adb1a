//! Commits as `h5part update FILE TABLE --stream` does, through a storage that is broken on purpose. The tests on NFS must
//! notice each of these faults: `H5PART_NFS_BREAK` names one.

use h5part_base::dataspace::Rows;
use h5part_base::lock::Shared;
use h5part_base::storage::{Disk, Identity, Mode, Nfs, O_DIRECT, Storage, StorageFile};
use h5part_engine::store::{Store, Values};
use ndarray::{Array1, Array2};
use serde_json::{Value, json};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// The host keeps the pages that it reads and writes.
    Buffered,
    /// The lock is on another descriptor than the one that writes.
    OtherDescriptor,
    /// There is no lock on the HDF5 file, and its pages are kept.
    NoLock,
    /// Writes are kept by the host, and nothing makes it send them before a lock is released.
    NoSync,
}

#[derive(Clone, Debug)]
struct Broken(Break);

#[derive(Debug)]
struct BrokenFile {
    how: Break,
    path: PathBuf,
    reads: File,
    writes: File,
}

impl Storage for Broken {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let open = |direct: bool| {
            let mut options = OpenOptions::new();
            options.read(true).write(mode != Mode::Read).custom_flags(if direct { O_DIRECT } else { 0 });
            options.open(path)
        };
        if mode == Mode::CreateNew {
            File::create_new(path)?;
        }
        let writes = open(self.0 == Break::OtherDescriptor)?;
        let reads = match self.0 {
            Break::NoSync => open(true)?,
            _ => writes.try_clone()?,
        };
        Ok(Box::new(BrokenFile { how: self.0, path: path.to_owned(), reads, writes }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Nfs::new().identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Disk.sync_folder(path)
    }
}

impl StorageFile for BrokenFile {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.reads.read_exact_at(buf, address)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        self.writes.write_all_at(buf, address)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writes.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        if self.how == Break::NoSync { Ok(()) } else { self.writes.sync_data() }
    }

    fn identity(&self) -> io::Result<Identity> {
        Nfs::new().identity(&self.path)
    }

    fn lock_handle(&self) -> io::Result<Option<File>> {
        match self.how {
            Break::Buffered | Break::NoSync => self.writes.try_clone().map(Some),
            Break::OtherDescriptor => Ok(None),
            Break::NoLock => tempfile::tempfile().map(Some),
        }
    }
}

/// One line of the stream: rows, and values of `E` and `Q`.
fn commit(store: &Store, table: &str, line: &Value) -> Result<(), Box<dyn Error>> {
    let numbers =
        |value: &Value| -> Vec<f64> { value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let rows: Vec<u64> = line["rows"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let e = Array1::from(numbers(&line["set"]["E"]));
    let q: Vec<f64> = line["set"]["Q"].as_array().into_iter().flatten().flat_map(numbers).collect();
    let q = Array2::from_shape_vec((rows.len(), q.len() / rows.len().max(1)), q)?;
    WRITER.with_borrow_mut(|writer| {
        if writer.is_none() {
            *writer = Some(store.writer(table)?);
        }
        let writer = writer.as_mut().ok_or("no writer")?;
        let rows = Rows::list(&rows);
        writer.commit(&rows, &[("E", Values::from(&e)), ("Q", Values::from(&q))])?;
        Ok(())
    })
}

thread_local! {
    static WRITER: std::cell::RefCell<Option<h5part_engine::store::Writer>> = const { std::cell::RefCell::new(None) };
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, update, file, table, ..] = arguments.as_slice() else { return Err("update FILE TABLE".into()) };
    if update != "update" {
        return Err("it can only update".into());
    }
    let how = match std::env::var("H5PART_NFS_BREAK")?.as_str() {
        "buffered" => Break::Buffered,
        "other-descriptor" => Break::OtherDescriptor,
        "no-lock" => Break::NoLock,
        "no-sync" => Break::NoSync,
        other => return Err(format!("nothing is called '{other}'").into()),
    };
    let store = Store::open(file)?.with_shared(Shared::Nfs).with_storage(Arc::new(Broken(how)));
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let answer = match commit(&store, table, &line) {
            Ok(()) => json!({ "id": line["id"], "ok": true }),
            Err(e) => json!({ "id": line["id"], "ok": false, "code": 12, "error": e.to_string() }),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
