//! An input file (`vpl.in`, `earth.in`): options, comments that begin with `#`, and lines that `$` continues.

use super::text;
use h5part_base::error::{At, Result};
use std::path::Path;

/// One option with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionLine {
    /// Its name, e.g. `dMass`.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

impl OptionLine {
    /// The first value, the only one that `BigPlanet` keeps.
    #[must_use]
    pub fn first(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }
}

/// An input file of vplanet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputFile {
    /// The options in order. One may occur several times.
    pub options: Vec<OptionLine>,
    /// The original lines, with their ends.
    pub lines: Vec<String>,
}

impl InputFile {
    /// Reads the file at a path.
    ///
    /// # Errors
    /// As read(2).
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).at("read", path)?;
        Ok(Self::parse(&text::of_input(bytes)))
    }

    /// Parses a text. Every text is accepted, since vplanet itself refuses bad options.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut options = Vec::new();
        let mut begun = String::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (here, goes_on) = line.split_once('$').map_or((line, false), |(here, _)| (here, true));
            begun.push(' ');
            begun.push_str(here);
            if !goes_on {
                options.extend(option_of(&std::mem::take(&mut begun)));
            }
        }
        options.extend(option_of(&begun));
        Self { options, lines: text.split_inclusive('\n').map(str::to_owned).collect() }
    }

    /// The value of an option. If it occurs several times, the last one counts.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.options.iter().rfind(|option| option.key == key).map(OptionLine::first)
    }

    /// Whether the option is given and not 0.
    #[must_use]
    pub fn is_on(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| value != "0")
    }
}

fn option_of(line: &str) -> Option<OptionLine> {
    let mut words = line.split_whitespace();
    // A minus sign before a name inverts the sign of an output.
    let key = words.next()?.replace('-', "");
    Some(OptionLine { key, values: words.map(str::to_owned).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Vec<(String, Vec<String>)> {
        InputFile::parse(text).options.into_iter().map(|o| (o.key, o.values)).collect()
    }

    #[test]
    fn comments_blank_lines_and_lines_that_go_on() {
        let text = "# all\n\nsName\t earth # Körper\n  saOutputOrder -Time -TMan $ # more\n\n# between\n -TCore$\nHflow\n-dMass -1.0\n";
        let expected = [
            ("sName", vec!["earth"]),
            ("saOutputOrder", vec!["-Time", "-TMan", "-TCore", "Hflow"]),
            ("dMass", vec!["-1.0"]),
        ];
        let expected: Vec<_> =
            expected.map(|(k, v)| (k.to_owned(), v.into_iter().map(str::to_owned).collect::<Vec<_>>())).into();
        assert_eq!(options(text), expected);
        let file = InputFile::parse("a 1\r\na 2\r\nb 0\r\nlone\r\n");
        assert_eq!((file.value("a"), file.value("lone"), file.value("c")), (Some("2"), Some(""), None));
        assert!(file.is_on("a") && !file.is_on("b") && !file.is_on("c"));
    }

    #[test]
    fn latin_1_and_a_line_that_goes_on_into_nothing() {
        let bytes = b"sName M\xfcller\nsaModules a b $".to_vec();
        let file = InputFile::parse(&text::of_input(bytes));
        assert_eq!(file.value("sName"), Some("Müller"));
        assert_eq!(file.options[1].values, ["a", "b"]);
    }
}
