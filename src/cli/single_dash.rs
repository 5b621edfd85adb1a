//! Rewrites arguments that the command-line parser does not accept: long options with one dash, as in the Python tools
//! (`multiplanet -bp`), and an option whose number is omitted before a file (`status --watch FILE`).

use std::ffi::OsString;

/// Such options of each subcommand, with their names here.
const OPTIONS: [(&str, &[(&str, &str)]); 2] = [
    ("bigplanet", &[("-deleterawdata", "--deleterawdata"), ("-ignorecorrupt", "--ignorecorrupt")]),
    ("multiplanet", &[("-bp", "--bigplanet")]),
];

/// The program's arguments with two dashes where they belong.
pub fn with_two(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|word| word == "status") {
        complete_watch(&mut args);
    }
    let subcommand = args.get(1).and_then(|word| OPTIONS.iter().find(|(name, _)| word == name));
    let Some((_, options)) = subcommand else { return args };
    for word in args.iter_mut().skip(2).take_while(|word| *word != "--") {
        if let Some((_, long)) = options.iter().find(|(short, _)| word == short) {
            *word = (*long).into();
        }
    }
    args
}

/// Completes `--watch` without a number, so that it does not consume the next argument.
fn complete_watch(args: &mut [OsString]) {
    let is_number = |word: &OsString| word.to_str().is_some_and(|text| text.parse::<f64>().is_ok());
    for k in 2..args.len() {
        if args[k] == "--watch" && !args.get(k + 1).is_some_and(is_number) {
            args[k] = "--watch=2".into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(line: &str) -> String {
        let words = with_two(line.split(' ').map(OsString::from));
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_options_of_the_subcommand_that_has_them() {
        assert_eq!(turned("h5part multiplanet v.in -bp -c 2"), "h5part multiplanet v.in --bigplanet -c 2");
        assert_eq!(turned("h5part bigplanet -a -deleterawdata b.in"), "h5part bigplanet -a --deleterawdata b.in");
        for line in ["h5part bigplanet -bp", "h5part run l -- multiplanet -bp", "h5part multiplanet -- -bp"] {
            assert_eq!(turned(line), line);
        }
    }

    #[test]
    fn a_watch_may_leave_its_number_out() {
        assert_eq!(turned("h5part status --watch a.h5 t"), "h5part status --watch=2 a.h5 t");
        assert_eq!(turned("h5part status a.h5 --watch"), "h5part status a.h5 --watch=2");
        for line in ["h5part status --watch 0.5 a.h5", "h5part status --watch=7 a.h5", "h5part run l -- status --watch"]
        {
            assert_eq!(turned(line), line);
        }
    }
}
