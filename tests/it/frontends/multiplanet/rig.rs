//! Trials to run, and a vplanet that is a script.

use crate::common::planets::planet;
use crate::common::support::{Scratch, finished};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Rig {
    pub dir: Scratch,
    pub names: Vec<String>,
}

/// Each trial adds a line to a file `ran`, and waits for a file `go` beside vspace.in.
pub const WAITS: &str = "echo $$ >> ran\nwhile [ ! -e ../../go ]; do sleep 0.02; done\necho said\n";

impl Rig {
    /// Trials with these names. For each, the script is run as `vplanet vpl.in`.
    pub fn new(names: &[&str], script: &str) -> Self {
        let dir = Scratch::new();
        let text = "sSrcFolder .\nsDestFolder MP\nsPrimaryFile vpl.in\n";
        fs::write(dir.path("vspace.in"), text).expect("writes");
        let rig = Self { dir, names: names.iter().map(|&name| name.to_owned()).collect() };
        for name in names {
            fs::create_dir_all(rig.trial(name)).expect("makes");
            fs::write(rig.trial(name).join("vpl.in"), "sSystemName x\n").expect("writes");
        }
        fs::create_dir(rig.dir.path("bin")).expect("makes");
        rig.script(script);
        rig
    }

    pub fn of(count: usize, script: &str) -> Self {
        let names: Vec<String> = (0..count).map(|k| format!("t{k:02}")).collect();
        Self::new(&names.iter().map(String::as_str).collect::<Vec<_>>(), script)
    }

    /// Sets what vplanet does from now on.
    pub fn script(&self, script: &str) {
        let path = self.dir.path("bin/vplanet");
        fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = vpl.in ] || exit 0\n{script}\n")).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets");
    }

    pub fn trial(&self, name: &str) -> PathBuf {
        self.dir.path("MP").join(name)
    }

    pub fn go(&self) {
        fs::write(self.dir.path("go"), "").expect("writes");
    }

    fn prepare(&self, mut command: Command, args: &[&str]) -> Command {
        let path = command.get_envs().find_map(|(name, value)| (name == "PATH").then(|| value?.to_str()).flatten());
        let path = path.map_or_else(|| std::env::var("PATH").expect("PATH"), str::to_owned);
        command.env("PATH", format!("{}:{path}", self.dir.path("bin").display())).current_dir(self.dir.path(""));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn ours(&self, args: &[&str]) -> Command {
        self.prepare(Command::new(env!("CARGO_BIN_EXE_h5part")), args)
    }

    /// One of the Python programs. `None` if it is not installed.
    pub fn theirs(&self, name: &str, args: &[&str]) -> Option<Command> {
        Some(self.prepare(planet(name)?, args))
    }

    /// Runs `h5part multiplanet vspace.in` with these options to its end.
    pub fn run(&self, options: &[&str]) -> (i32, String, String) {
        let args = [&["multiplanet", "vspace.in", "--retry-delay", "0"], options].concat();
        finished(&self.ours(&args).output().expect("starts"))
    }

    /// Starts the same in the background.
    pub fn start(&self, options: &[&str]) -> Child {
        self.ours(&[&["multiplanet", "vspace.in", "-c", "2"], options].concat()).spawn().expect("starts")
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.dir.path(".MP")).unwrap_or_default()
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.trial(name).join("vplanet_log")).unwrap_or_default()
    }

    /// How often each trial was started.
    pub fn begun(&self) -> Vec<usize> {
        let lines =
            |name: &String| fs::read_to_string(self.trial(name).join("ran")).map_or(0, |text| text.lines().count());
        self.names.iter().map(lines).collect()
    }

    /// The text of a run with all trials done.
    pub fn all_done(&self) -> String {
        let here = self.dir.path("").canonicalize().expect("folder");
        let here = here.display();
        let trials: String = self.names.iter().map(|name| format!("{here}/MP/{name} 1\n")).collect();
        format!("Vspace File: {here}/vspace.in\nTotal Number of Simulations: {}\n{trials}THE END\n", self.names.len())
    }
}
