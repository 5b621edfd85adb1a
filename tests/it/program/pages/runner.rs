//! Runs the steps of a page in a folder of its own.

use super::compare::is_as_said;
use super::markdown::{Kind, Step};
use crate::common::support::Scratch;
use regex::Regex;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What pages call the folder in which their reader works, and the host.
const FOLDER: &str = "/data";
const HOST: &str = "node1";
/// A command that takes longer hangs.
const MOST_S: &str = "600";

pub struct Runner {
    page: String,
    scratch: Scratch,
    folder: PathBuf,
}

impl Runner {
    pub fn new(page: &str) -> Self {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path("work")).expect("a folder");
        let folder = scratch.path("work").canonicalize().expect("a folder");
        Self { page: page.to_owned(), scratch, folder }
    }

    /// Takes one step. Panics if it does not do what the page says.
    pub fn run(&self, step: &Step) {
        let place = format!("{}:{}", self.page, step.line);
        match &step.kind {
            Kind::Script(text) => {
                let (code, out) = self.shell(&format!("set -e\n{text}"));
                assert_eq!(code, step.code, "{place}: the exit code is wrong\n{text}\nprinted:\n{out}");
            }
            Kind::Session(commands) => {
                for (k, (command, said)) in commands.iter().enumerate() {
                    let (code, out) = self.shell(command);
                    let said = said.join("\n");
                    let numbers_differ = step.numbers_of.as_ref().is_some_and(|words| command.contains(words));
                    assert!(
                        is_as_said(&said, &out, numbers_differ),
                        "{place}: $ {command}\nthe page says:\n{said}\nprinted:\n{out}"
                    );
                    let expected = if k + 1 == commands.len() { step.code } else { code };
                    // A command that fails in the midst says so, and the page shows it.
                    assert!(code == expected && (code == 0 || !said.is_empty()), "{place}: $ {command}: code {code}");
                }
            }
            Kind::Python(text) => {
                let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
                let (code, out) = self.finished(Command::new(python).arg("-c").arg(text));
                assert_eq!(code, 0, "{place}: Python fails\n{text}\nprinted:\n{out}");
            }
            Kind::File { name, text } => {
                let path = self.folder.join(name);
                std::fs::write(&path, text).expect("writes");
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("sets");
            }
            Kind::Skipped(_) => {}
        }
    }

    fn shell(&self, text: &str) -> (i32, String) {
        self.finished(Command::new("timeout").args([MOST_S, "bash", "-c", text]))
    }

    /// Runs a command to its end: its exit code, and what it printed on both outputs, as a page would say it.
    fn finished(&self, command: &mut Command) -> (i32, String) {
        let out = self.scratch.path("printed");
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&out).expect("opens");
        // Both append: neither writes over the other.
        let append = || Stdio::from(File::options().append(true).open(&out).expect("opens"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["SLURM_", "H5PART_", "OMP_"].iter().any(|prefix| name.starts_with(prefix)) && name != "H5PART_PLANETS" {
                command.env_remove(&*name);
            }
        }
        let folders = [Path::new(env!("CARGO_BIN_EXE_h5part")).parent().expect("a folder").to_owned()];
        let planets = std::env::var_os("H5PART_PLANETS").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = folders.into_iter().chain(std::env::split_paths(&path)).chain(planets);
        command.env("PATH", std::env::join_paths(path).expect("a PATH")).env("LC_ALL", "C.UTF-8");
        command.env("XDG_CACHE_HOME", self.scratch.path("cache"));
        command.env("FIXTURES", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"));
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(append()).stderr(append());
        let code = command.status().expect("starts").code().unwrap_or(-1);
        let mut bytes = Vec::new();
        file.rewind().expect("seeks");
        file.read_to_end(&mut bytes).expect("reads");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let folder = self.folder.to_str().expect("UTF-8");
        let host = nix::unistd::gethostname().expect("a name").to_string_lossy().into_owned();
        let host = Regex::new(&format!(r"\b{}\b", regex::escape(&host))).expect("a pattern");
        (code, host.replace_all(&text.replace(folder, FOLDER), HOST).into_owned())
    }
}
