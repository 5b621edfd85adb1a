//! Exit codes of the program: those of the library, and those of kinds that only the program has.

use super::outputs;
pub use h5part::exit::Exit;
use h5part::{Error, ErrorKind};
use std::io;

/// The end of `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 something was found or failed in part, 2 usage, \
3 no such file, table, column, row or task, 4 values do not fit, 5 not a usable HDF5 file or ledger, 6 a lock was \
not released in time, 7 disk full, 8 read-only, 9 changed by another program, 10 cannot be written \
in place, 11 already exists, 12 I/O error, 13 another worker holds the task";

/// The code of an error.
pub fn of(error: &Error) -> Exit {
    let kind = error.kind();
    None.or_else(|| kind.of().map(of_input)).or_else(|| kind.of().map(of_output)).unwrap_or_else(|| Exit::of(error))
}

fn of_input(kind: &h5part_input::ErrorKind) -> Exit {
    use h5part_input::ErrorKind as Kind;
    match kind {
        Kind::BadNpy(_) | Kind::NpyType(_) => Exit::Mismatch,
    }
}

fn of_output(kind: &outputs::ErrorKind) -> Exit {
    use outputs::ErrorKind as Kind;
    match kind {
        Kind::Exists | Kind::NotReplaced(_) | Kind::OtherKind(_) => Exit::Exists,
    }
}

/// Whether the reader of our output went away, which is not an error.
pub fn is_closed_pipe(error: &Error) -> bool {
    let ours = error.path() == "standard output";
    ours && matches!(error.kind(), ErrorKind::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    const LIBRARY: &str = include_str!("../exit.rs");
    const PROGRAM: &str = include_str!("exit.rs");
    const PAGE: &str = include_str!("../../docs/exit-codes.md");

    /// The kinds in the match arms of both files, each with the name of its code. The compiler makes sure that these
    /// are all kinds.
    fn kinds() -> Vec<(String, String)> {
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
        let (_, library) = LIBRARY.split_once("fn of_kind").expect("it is there");
        let (_, program) = PROGRAM.split_once("fn of_input").expect("it is there");
        let (program, _) = program.split_once("/// Whether the reader").expect("it is there");
        let library = library.split_whitespace().collect::<Vec<_>>().join(" ");
        let library = library.replace("=> { Self::", "=> Exit::").replace("=> Self::", "=> Exit::");
        let arms: Vec<&str> = library.split("=> Exit::").chain(program.split("=> Exit::")).collect();
        let pairs = arms.windows(2).flat_map(|arm| {
            arm[0].split("Kind::").skip(1).map(move |kind| (name(kind), name(arm[1]))).collect::<Vec<_>>()
        });
        pairs.filter(|(kind, _)| kind != "Other").collect()
    }

    #[test]
    fn every_kind_is_on_the_page_with_its_code() {
        let (codes, _) = LIBRARY.split_once("impl Exit").expect("it is above");
        let (_, page) = PAGE.split_once("## Kinds of errors").expect("the section");
        let kinds = kinds();
        assert!(kinds.len() > 70, "{}", kinds.len());
        for (kind, code) in &kinds {
            let number = codes.split_once(&format!("    {code} = ")).and_then(|(_, rest)| rest.split_once(','));
            let (number, _) = number.unwrap_or_else(|| panic!("no code {code}"));
            let row = page.lines().find(|line| line.starts_with(&format!("| {number} |")));
            let is_there =
                |row: &str| [format!("`{kind}`"), format!("::{kind}`")].iter().any(|name| row.contains(name));
            assert!(row.is_some_and(is_there), "{kind} is not in the row of code {number}");
        }
        let has_code = |line: &&str| line.strip_prefix("| ").is_some_and(|row| row.starts_with(char::is_numeric));
        let listed = page.lines().filter(has_code).flat_map(|line| line.split('`').skip(1).step_by(2));
        assert_eq!(listed.count(), kinds.len(), "the page lists a kind that does not exist");
    }
}
