//! Asks vplanet for its options, once per program.

use super::options::Options;
use super::text;
use h5part_base::error::{At, ErrorKind, Kind, Result};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

const ASK: &str = "ask for its options";

/// Identifies the program that was asked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    program: PathBuf,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    asked: Asked,
    options: Options,
}

/// The options of a vplanet, given by a path or by a name on the PATH.
///
/// `vplanet -H` takes most of a second. Its output is kept in `cache`, and is valid while the program has the same
/// path, length and time.
///
/// # Errors
/// [`h5part_tasks::ErrorKind::NoProgram`]; [`crate::ErrorKind::BadText`]: it lists no options.
pub fn vplanet_options(program: &Path, cache: Option<&Path>) -> Result<Options> {
    let program = find(program).at(ASK, program)?;
    let asked = Asked::of(&program).at(ASK, &program)?;
    let kept = cache.map(|folder| folder.join(asked.file_name()));
    if let Some(options) = kept.as_deref().and_then(|path| asked.look_up(path)) {
        return Ok(options);
    }
    let options = ask(&program)?;
    if let Some(path) = &kept {
        // If it cannot be kept, the program is asked again next time.
        let _ = Kept { asked, options: options.clone() }.keep(path);
    }
    Ok(options)
}

/// Path of the program.
fn find(program: &Path) -> Result<PathBuf, ErrorKind> {
    let runs = |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let none = || ErrorKind::from(h5part_tasks::ErrorKind::NoProgram(program.display().to_string()));
    let found = if program.components().count() > 1 {
        Some(program.to_owned()).filter(|path| runs(path))
    } else {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| runs(path))
    };
    Ok(found.ok_or_else(none)?.canonicalize()?)
}

fn ask(program: &Path) -> Result<Options> {
    let output = Command::new(program).arg("-H").stdin(Stdio::null()).output().at(ASK, program)?;
    let options = Options::parse(&text::of_log(output.stdout));
    if options.is_empty() {
        let said = text::of_log(output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let what = format!("'-H' lists no options ({}; {last})", output.status);
        return Err(crate::ErrorKind::BadText { line: 0, what }.at(ASK, program));
    }
    Ok(options)
}

impl Asked {
    fn of(program: &Path) -> std::io::Result<Self> {
        let meta = program.metadata()?;
        let (program, bytes) = (program.to_owned(), meta.len());
        Ok(Self { program, bytes, modified_s: meta.mtime(), modified_ns: meta.mtime_nsec() })
    }

    fn file_name(&self) -> String {
        format!("vplanet-{:016x}.json", xxh3_64(self.program.as_os_str().as_encoded_bytes()))
    }

    fn look_up(&self, path: &Path) -> Option<Options> {
        let kept: Kept = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (kept.asked == *self && !kept.options.is_empty()).then_some(kept.options)
    }
}

impl Kept {
    fn keep(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let beside = NamedTempFile::new_in(folder)?;
        serde_json::to_writer(beside.as_file(), self)?;
        beside.persist(path).map(|_| ()).map_err(|e| e.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &Path, unit: &str) {
        let text = format!(
            "#!/bin/sh\necho asked >> {}.log\necho '| **dMass** |'\necho '| Dimension(s) || {unit} |'\n",
            path.display()
        );
        std::fs::write(path, text).expect("write");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    #[test]
    fn a_program_is_asked_once_until_it_is_another() {
        let folder = tempfile::tempdir().expect("tempdir");
        let (path, cache) = (folder.path().join("planet"), folder.path().join("a/b"));
        program(&path, "mass");
        let dimension = || {
            let options = vplanet_options(&path, Some(&cache)).expect("options");
            options.get("dMass").and_then(|o| o.dimension.clone()).unwrap_or_default()
        };
        let asked = || std::fs::read_to_string(folder.path().join("planet.log")).expect("log").lines().count();
        assert_eq!((dimension(), dimension(), asked()), ("mass".into(), "mass".into(), 1));
        program(&path, "length");
        assert_eq!((dimension(), dimension(), asked()), ("length".into(), "length".into(), 2));
        let damaged = std::fs::read_dir(&cache).expect("folder").next().expect("a file").expect("entry").path();
        std::fs::write(damaged, "{").expect("damage");
        assert_eq!((dimension(), asked()), ("length".into(), 3));
    }

    #[test]
    fn no_program_and_one_that_is_another() {
        let none = vplanet_options(Path::new("no-such-planet"), None).expect_err("there is none").to_string();
        assert!(none.contains("no such program 'no-such-planet' on the PATH"), "{none}");
        let other = vplanet_options(Path::new("true"), None).expect_err("is another").to_string();
        assert!(other.contains("lists no options"), "{other}");
    }
}
