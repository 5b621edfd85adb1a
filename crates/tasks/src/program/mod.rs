//! Programs as tasks. They start with only their three standard descriptors, and end with their runner.

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
use h5part_base::error::ErrorKind;
use std::ffi::OsString;
use std::path::PathBuf;

/// Environment variable with the task's rows, as START:END.
pub const ROWS_VAR: &str = "H5PART_ROWS";
/// Environment variable with the task's number.
pub const INDEX_VAR: &str = "H5PART_INDEX";
/// Environment variable with the number of earlier failures of the task.
pub const ATTEMPT_VAR: &str = "H5PART_ATTEMPT";

/// A command with placeholders: `{name}`, `{rows}`, `{index}`. There is no shell: each argument stays one argument,
/// whatever is inserted.
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

    /// Checks that tasks can fill every placeholder, which is a word in braces. `{{word}}` stands for `{word}` itself.
    /// `${word}`, a variable of a shell, and all other braces are plain text.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] for an unknown word, and for `{rows}` if tasks have no rows.
    pub fn check(&self, tasks_have_rows: bool) -> Result<(), ErrorKind> {
        for part in &self.0 {
            for piece in Pieces(part) {
                let Piece::Placeholder(word) = piece else { continue };
                if !PLACEHOLDERS.contains(&word) {
                    let (known, last) = (PLACEHOLDERS.map(|known| format!("{{{known}}}")), "for the word itself");
                    let text = format!(
                        "there is no placeholder {{{word}}}: there are {}; write {{{{{word}}}}} {last}",
                        known.join(", ")
                    );
                    return Err(ErrorKind::BadRequest(text));
                }
                if word == "rows" && !tasks_have_rows {
                    let text = "the tasks of this ledger have no rows for {rows}: use {name} or {index}";
                    return Err(ErrorKind::BadRequest(text.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// The program, as given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Path of the program. `None`: it does not exist or is not executable.
    #[must_use]
    pub fn program(&self) -> Option<PathBuf> {
        let name = self.0.first()?;
        if Pieces(name).any(|piece| matches!(piece, Piece::Placeholder(_))) {
            // It depends on the task.
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

/// The words allowed in braces.
const PLACEHOLDERS: [&str; 3] = ["name", "rows", "index"];

/// A part of an argument.
enum Piece<'a> {
    Text(&'a str),
    /// The word in braces.
    Placeholder(&'a str),
}

/// Splits an argument into pieces. Inserted text is not parsed again.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let Self(rest) = *self;
        let first = rest.chars().next()?;
        // `${HOME}` belongs to a shell.
        if let Some(word) = rest.strip_prefix('$').and_then(word_in_braces).filter(|word| !PLACEHOLDERS.contains(word))
        {
            let (text, rest) = rest.split_at(word.len() + 3);
            self.0 = rest;
            return Some(Piece::Text(text));
        }
        if let Some(literal) = rest.strip_prefix('{').filter(|tail| tail.starts_with('{')) {
            // `{{word}}`
            if let Some(word) = word_in_braces(literal).filter(|word| literal[word.len() + 2..].starts_with('}')) {
                let (text, rest) = literal.split_at(word.len() + 2);
                self.0 = &rest[1..];
                return Some(Piece::Text(text));
            }
        }
        if let Some(word) = word_in_braces(rest) {
            self.0 = &rest[word.len() + 2..];
            return Some(Piece::Placeholder(word));
        }
        let after = first.len_utf8();
        let end = rest[after..].find(['{', '$']).map_or(rest.len(), |at| after + at);
        self.0 = &rest[end..];
        Some(Piece::Text(&rest[..end]))
    }
}

/// The word, if the text begins with `{word}`.
fn word_in_braces(text: &str) -> Option<&str> {
    let (word, _) = text.strip_prefix('{')?.split_once('}')?;
    let starts = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then_some(word)
}

fn filled(part: &str, claim: &Claim) -> String {
    let fill = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Placeholder("name") => claim.name.clone(),
        Piece::Placeholder("index") => claim.index.to_string(),
        Piece::Placeholder("rows") => rows_of(claim),
        Piece::Placeholder(word) => format!("{{{word}}}"),
    };
    Pieces(part).map(fill).collect()
}

/// A task's rows as `--rows` accepts them. Empty if it has none.
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
    fn words_that_stand_for_nothing_are_refused() {
        let check = |part: &str, rows| Template::new(vec!["run".to_owned(), part.to_owned()]).check(rows);
        for part in [
            "{name}",
            "{rows}{index}",
            "{{row}}",
            "awk {print $1}",
            "{\"rows\": 1}",
            "{}",
            "{",
            "}{",
            "{1}",
            "{a b}",
            "{{{name}}}",
            "${HOME}",
        ] {
            assert!(check(part, true).is_ok(), "{part}");
        }
        for part in ["{row}", "a{x}b", "{name}{Name}", "{{row}", "{_}"] {
            assert!(
                matches!(check(part, true), Err(ErrorKind::BadRequest(text)) if text.contains("{name}, {rows}, {index}")),
                "{part}"
            );
        }
        assert!(matches!(check("{rows}", false), Err(ErrorKind::BadRequest(text)) if text.contains("no rows")));
        let filled = |part: &str| filled(part, &claim("n"));
        let parts = ["{{name}}", "{{{name}}}", "{{name}", "{ {index} }", "{{}}", "{{rows}}{rows}", "$${HOME}${index}"];
        assert_eq!(parts.map(filled), ["{name}", "{{name}}", "{n", "{ 7 }", "{{}}", "{rows}70:80", "$${HOME}$7"]);
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
