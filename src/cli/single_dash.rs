//! Long options with one dash, as the Python tools take them: `multiplanet -bp`.

use std::ffi::OsString;

/// Such options of each subcommand, and what they are here.
const OPTIONS: [(&str, &[(&str, &str)]); 2] = [
    ("bigplanet", &[("-deleterawdata", "--deleterawdata"), ("-ignorecorrupt", "--ignorecorrupt")]),
    ("multiplanet", &[("-bp", "--bigplanet")]),
];

/// The arguments of the program with two dashes where they belong.
pub fn with_two(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let subcommand = args.get(1).and_then(|word| OPTIONS.iter().find(|(name, _)| word == name));
    let Some((_, options)) = subcommand else { return args };
    for word in args.iter_mut().skip(2).take_while(|word| *word != "--") {
        if let Some((_, long)) = options.iter().find(|(short, _)| word == short) {
            *word = (*long).into();
        }
    }
    args
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
}
