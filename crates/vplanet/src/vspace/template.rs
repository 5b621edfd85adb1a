//! A template file with the changes of a vspace.in: the text of every trial, except for its values.

use super::input::{Section, bad_line, lines, shown, words};
use super::number::shortest;
use h5part_base::error::ErrorKind;

/// A file that every trial has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// Equal in all trials.
    Text(Vec<u8>),
    /// An option, with the number of the axis that has its value.
    Option { name: Vec<u8>, axis: usize, end: bool },
}

impl Line {
    fn first_word(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => words(text).next(),
            Self::Option { name, .. } => Some(name),
        }
    }

    fn end(&mut self) {
        match self {
            Self::Text(text) if !text.ends_with(b"\n") => text.push(b'\n'),
            Self::Text(_) => {}
            Self::Option { end, .. } => *end = true,
        }
    }
}

impl Template {
    /// Applies the lines of a section to the file `source`. `axes` are its options that vary, with their numbers.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadText`]: an option to remove does not exist.
    pub fn new(source: &[u8], section: &Section, axes: &[(&[u8], usize)]) -> Result<Self, ErrorKind> {
        let mut template: Vec<Line> = lines(source).into_iter().map(Line::Text).collect();
        let mut found = vec![false; section.lines.len()];
        let last = template.len().saturating_sub(1);
        for (at, line) in template.iter_mut().enumerate() {
            for ((_, change), found) in section.lines.iter().zip(&mut found) {
                *found |= apply(change, line, axes, at < last);
            }
        }
        for ((number, change), _) in section.lines.iter().zip(found).filter(|(_, found)| !found) {
            if let Some(option) = removed(change) {
                let file = shown(&section.file);
                return Err(bad_line(*number, format!("'{}' is to be removed, but is not in {file}", shown(option))));
            }
            let mut added = set(change, axes);
            added.end();
            template.extend([Line::Text(b"\n".to_vec()), added]);
        }
        Ok(Self(template))
    }

    /// The file of a trial with these values, one per axis.
    #[must_use]
    pub fn fill(&self, values: &[f64]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in &self.0 {
            match line {
                Line::Text(text) => out.extend_from_slice(text),
                Line::Option { name, axis, end } => {
                    out.extend_from_slice(name);
                    out.push(b' ');
                    out.extend(shortest(values.get(*axis).copied().unwrap_or(f64::NAN)).into_bytes());
                    out.extend(end.then_some(b'\n'));
                }
            }
        }
        out
    }
}

/// The option that a line removes, if it removes one.
fn removed(change: &[u8]) -> Option<&[u8]> {
    let mut words = words(change);
    if words.next() == Some(b"rm") { words.next() } else { None }
}

/// What a line sets.
fn set(change: &[u8], axes: &[(&[u8], usize)]) -> Line {
    let name = words(change).next().unwrap_or_default();
    // If an option varies twice, the last one counts.
    let axis = axes.iter().rfind(|(option, _)| *option == name).map(|(_, axis)| *axis);
    axis.map_or_else(|| Line::Text(change.to_vec()), |axis| Line::Option { name: name.to_vec(), axis, end: false })
}

/// Applies a change to a line of the file, if it concerns that line.
fn apply(change: &[u8], line: &mut Line, axes: &[(&[u8], usize)], ends: bool) -> bool {
    let Some(word) = line.first_word() else { return false };
    if words(change).next() == Some(word) {
        *line = set(change, axes);
        if ends {
            line.end();
        }
        return true;
    }
    if removed(change) != Some(word) {
        return false;
    }
    match line {
        Line::Text(text) | Line::Option { name: text, .. } => text.insert(0, b'#'),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vspace::Input;

    fn filled(source: &str, changes: &str) -> String {
        let input = Input::parse(format!("file x.in\n{changes}").as_bytes()).expect("parses");
        let axes: [(&[u8], usize); 1] = [(b"dSemi", 0)];
        let template = Template::new(source.as_bytes(), &input.files[0], &axes).expect("template");
        String::from_utf8(template.fill(&[0.5])).expect("UTF-8")
    }

    #[test]
    fn options_are_set_added_and_removed() {
        assert_eq!(filled("a 1\ndSemi 2 # x\n b 3", "dSemi [1] a\n b 4\n"), "a 1\ndSemi 0.5\n b 4\n");
        assert_eq!(filled("a 1\n", "dSemi [1] a\nc 3"), "a 1\n\ndSemi 0.5\n\nc 3\n");
        assert_eq!(filled("a 1\r\nb 2\r\n", "rm b"), "a 1\n#b 2\n");
        assert_eq!(filled("dSemi 1", "dSemi [1] a"), "dSemi 0.5");
        assert_eq!(filled("dSemi 1\n\n", "dSemi [1] a\nrm dSemi"), "#dSemi 0.5\n\n");
        // The last of several counts, and a comment is treated like any other line.
        assert_eq!(filled("a 1\n# x\n", "a 2\n# y\na 3\n"), "a 3\n# y\n");
        let input = Input::parse(b"file x.in\nrm b\n").expect("parses");
        let error = Template::new(b"a 1\n", &input.files[0], &[]).expect_err("is refused").to_string();
        assert!(error.contains("line 2: 'b' is to be removed, but is not in x.in"), "{error}");
    }
}
