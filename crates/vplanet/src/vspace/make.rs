//! The folder of an ensemble. It is built beside its name, and renamed once it is complete.

use super::grid::Grid;
use super::input::{Input, bad_line};
use super::template::Template;
use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_base::storage::{Disk, Storage};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempDir};

const MAKE: &str = "make trials of";
/// Name of the trials in the folder under construction, which only its maker uses.
const PLAIN: &str = "trials";

/// An ensemble that can be made, since everything that it needs was read.
#[derive(Debug)]
pub struct Ensemble {
    destination: PathBuf,
    grid: Grid,
    /// Each file, with its path.
    files: Vec<(PathBuf, Template)>,
    input: PathBuf,
}

impl Ensemble {
    /// Reads a vspace.in and its template files. Folders are resolved as this process sees them.
    ///
    /// # Errors
    /// As reading them; [`crate::ErrorKind::BadText`]: what vspace refuses, and random mode.
    pub fn read(path: &Path) -> Result<Self> {
        const READ: &str = "read";
        let input = Input::read(path)?;
        let bad = |text: &str| bad_line(0, text).at(READ, path);
        let grid = Grid::of(&input).at(READ, path)?;
        let source = input.source.as_deref();
        let source = source.ok_or_else(|| bad("it names no folder of template files: add 'sSrcFolder NAME'"))?;
        let destination = input.destination().at(READ, path)?.components().collect::<PathBuf>();
        if input.files.is_empty() {
            return Err(bad("it names no file: add 'sBodyFile NAME' or 'sPrimaryFile NAME'"));
        }
        if destination.file_name().is_none() {
            return Err(bad("its sDestFolder is not a name of a folder"));
        }
        let mut files = Vec::with_capacity(input.files.len());
        for (number, section) in input.files.iter().enumerate() {
            let from = source.join(section.path());
            let text = std::fs::read(&from).at(READ, &from)?;
            let template = Template::new(&text, section, &grid.of_file(number)).at(READ, path)?;
            files.push((section.path().to_owned(), template));
        }
        let ensemble = Self { destination, grid, files, input: path.to_owned() };
        ensemble.check_apart(source)?;
        Ok(ensemble)
    }

    /// Checks that the folder of trials may be replaced: it must be a folder, and must not contain the sources of the
    /// trials.
    fn check_apart(&self, source: &Path) -> Result<()> {
        let refused = |text: &str| Err(ErrorKind::BadRequest(text.to_owned()).at(MAKE, &self.destination));
        if self.destination.symlink_metadata().is_ok() && !self.destination.is_dir() {
            return refused("it exists and is not a folder, so it is never replaced: choose another sDestFolder");
        }
        let Ok(folder) = self.destination.canonicalize() else { return Ok(()) };
        let inside = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&folder));
        let templates = self.files.iter().any(|(name, _)| inside(&source.join(name)));
        if templates || inside(source) || inside(Path::new(".")) || inside(&self.input) {
            return refused("the folder of trials contains the template files, the input or the working folder");
        }
        Ok(())
    }

    /// The folder of the trials.
    #[must_use]
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Number of trials; 0 if no option varies, and the folder holds the files themselves.
    #[must_use]
    pub fn trials(&self) -> u64 {
        if self.grid.is_single() { 0 } else { self.grid.len() }
    }

    /// Builds all trials, and their list, beside the folder's name.
    ///
    /// **Concurrency.** Beside anything, since nothing has the name yet. A kill leaves a folder `.NAME.*.h5part-new`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn build(&self, told: &dyn Fn(u64)) -> Result<Built<'_>> {
        let destination = &self.destination;
        let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = destination.file_name().unwrap_or_default();
        let prefix = [OsStr::new("."), name, OsStr::new(".")].map(OsStr::to_string_lossy).concat();
        let beside = Builder::new().prefix(&prefix).suffix(".h5part-new").tempdir_in(parent).at(MAKE, destination)?;
        self.fill(beside.path(), told)?;
        Ok(Built { beside, destination })
    }

    fn fill(&self, folder: &Path, told: &dyn Fn(u64)) -> Result<()> {
        // Created like any other new folder of this user.
        let plain = folder.join(PLAIN);
        std::fs::create_dir(&plain).at(MAKE, &plain)?;
        if self.grid.is_single() {
            return self.write_files(&plain, &[]);
        }
        let list = plain.join("grid_list.dat");
        let mut out = BufWriter::new(File::create_new(&list).at(MAKE, &list)?);
        let mut line = |text: &[u8]| out.write_all(text).and_then(|()| out.write_all(b"\n")).at(MAKE, &list);
        line(&self.grid.header())?;
        for (number, trial) in (1..).zip(self.grid.trials()) {
            line(&trial.line)?;
            let folder = plain.join(OsStr::from_bytes(&trial.name));
            match std::fs::create_dir(&folder) {
                // Equal values give one trial.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => made.at(MAKE, self.destination.join(OsStr::from_bytes(&trial.name)))?,
            }
            self.write_files(&folder, &trial.values)?;
            told(number);
        }
        out.flush().at(MAKE, &list)
    }

    fn write_files(&self, folder: &Path, values: &[f64]) -> Result<()> {
        for (name, template) in &self.files {
            std::fs::write(folder.join(name), template.fill(values)).at("write", self.destination.join(name))?;
        }
        Ok(())
    }
}

/// Trials that do not have their name yet. Dropping this removes them.
#[derive(Debug)]
pub struct Built<'a> {
    beside: TempDir,
    destination: &'a Path,
}

impl Built<'_> {
    /// Renames the trials to the folder's name. With `replace`, whatever had the name is removed.
    ///
    /// **Concurrency.** Not beside another process that makes the same trials, which then fails. A kill leaves the old
    /// ones, a part of them, or all of the new ones.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; I/O errors.
    pub fn take_name(self, replace: bool) -> Result<()> {
        if replace {
            remove(self.destination).at("replace", self.destination)?;
        }
        let taken = Disk.rename_new(&self.beside.path().join(PLAIN), self.destination);
        let taken = taken.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists(Item::File),
            _ => e.into(),
        });
        taken.at(MAKE, self.destination)
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        // For a link to a folder, only the link is removed.
        Ok(metadata) if metadata.is_symlink() => std::fs::remove_file(path),
        Ok(_) => std::fs::remove_dir_all(path),
    }
}
