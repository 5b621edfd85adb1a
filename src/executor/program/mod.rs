//! Programs as tasks: started with nothing but their three descriptors, ended with their runner.

mod alive;
mod home;
mod inputs;
mod keeper;
mod limit;
mod running;
mod spawn;

pub use alive::Alive;
pub use home::{BesideLedger, Home, Homes};
pub use inputs::Inputs;
pub use keeper::{Keeper, keep};
pub use limit::{Memory, MemoryLimit};
pub use running::Running;
pub(super) use running::signal_group;

use crate::ledger::Claim;
use std::ffi::OsString;
use std::path::PathBuf;

/// Names the task's rows to the program, as START:END.
pub const ROWS_VAR: &str = "H5PART_ROWS";
/// Gives the task's number to the program.
pub const INDEX_VAR: &str = "H5PART_INDEX";
/// Tells the program how often its task failed before.
pub const ATTEMPT_VAR: &str = "H5PART_ATTEMPT";

/// A command with placeholders: `{name}`, `{rows}`, `{index}`. There is no shell: each argument stays one
/// argument, whatever is put into it.
#[derive(Clone, Debug)]
pub struct Template(Vec<String>);

impl Template {
    /// The program and its arguments.
    #[must_use]
    pub fn new(command: Vec<String>) -> Self {
        Self(command)
    }

    /// The command of a task.
    #[must_use]
    pub fn of(&self, claim: &Claim) -> Vec<OsString> {
        self.0.iter().map(|part| filled(part, claim).into()).collect()
    }

    /// The program as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Where the program is. `None`: nowhere, or it may not be run.
    #[must_use]
    pub fn program(&self) -> Option<PathBuf> {
        let name = self.0.first()?;
        if name.contains('{') {
            // It differs from task to task.
            return Some(PathBuf::from(name));
        }
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| may_be_run(path));
        }
        let folders = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| may_be_run(path))
    }
}

fn may_be_run(path: &std::path::Path) -> bool {
    let may = nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
    may && path.is_file()
}

/// One pass: what is put in is not looked at again.
fn filled(part: &str, claim: &Claim) -> String {
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        let tail = &rest[start..];
        let (word, value) = match tail.find('}').map(|end| &tail[..=end]) {
            Some(word @ "{name}") => (word, claim.name.clone()),
            Some(word @ "{index}") => (word, claim.index.to_string()),
            Some(word @ "{rows}") => (word, rows_of(claim)),
            _ => ("{", "{".to_owned()),
        };
        out.push_str(&value);
        rest = &tail[word.len()..];
    }
    out.push_str(rest);
    out
}

/// A task's rows as `--rows` takes them; nothing where it has none.
#[must_use]
pub fn rows_of(claim: &Claim) -> String {
    claim.rows.as_ref().map_or_else(String::new, |rows| format!("{}:{}", rows.start, rows.end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OwnerId;

    fn claim(name: &str) -> Claim {
        let owner = OwnerId::default();
        Claim { place: 7, index: 7, name: name.to_owned(), rows: Some(70..80), fence: 1, owner, attempts: 0 }
    }

    #[test]
    fn each_placeholder_stays_within_its_argument() {
        let template = ["run", "--rows={rows}", "{name}", "{index}{index}", "{other} {", "a{name}b{name}"];
        let template = Template::new(template.map(str::to_owned).to_vec());
        let command = template.of(&claim("x y; {rows} $(z)\n"));
        let expected =
            ["run", "--rows=70:80", "x y; {rows} $(z)\n", "77", "{other} {", "ax y; {rows} $(z)\nbx y; {rows} $(z)\n"];
        assert_eq!(command, expected.map(OsString::from));
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn a_program_is_found_in_path_or_by_its_own() {
        let program = |name: &str| Template::new(vec![name.to_owned()]).program();
        assert!(program("sh").is_some_and(|path| path.is_absolute()));
        assert!(program("/bin/sh").is_some());
        assert!(program("/etc/passwd").is_none() && program("no such program").is_none() && program("/").is_none());
        assert!(Template::new(Vec::new()).program().is_none());
    }
}
