//! A vspace.in: folders, files, and the lines that change the files.

use h5part_base::error::{At, ErrorKind, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A parsed vspace.in. Errors in parts that nobody needs are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The folder with the template files.
    pub source: Option<PathBuf>,
    /// The folder of the trials.
    pub destination: Option<PathBuf>,
    /// Prefix of the names of trials.
    pub trial: Option<Vec<u8>>,
    /// The word that says how options vary, with its line.
    pub mode: Option<(usize, Vec<u8>)>,
    /// The seed, with its line.
    pub seed: Option<(usize, Vec<u8>)>,
    /// The files, in order.
    pub files: Vec<Section>,
    /// Numbers of lines that vary an option before the first file, so they belong to no file.
    pub astray: Vec<usize>,
}

/// A template file with the lines that follow its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub file: Vec<u8>,
    /// Whether it is declared as the primary file.
    pub primary: bool,
    /// Lines that are not empty, with their numbers from 1 and their ends.
    pub lines: Vec<(usize, Vec<u8>)>,
}

impl Section {
    /// Its name as a path.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.file))
    }
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Splits as Python does, in ASCII: the vertical tab and the separators count as blanks.
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0x0b | 0x1c..=0x1f);
    line.split(is_blank).filter(|word: &&[u8]| !word.is_empty())
}

/// Lines with their ends. Other line ends become a newline.
pub(super) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = bytes.iter().copied().peekable();
    while let Some(byte) = at.next() {
        match byte {
            b'\r' => {
                at.next_if_eq(&b'\n');
                out.push(b'\n');
            }
            other => out.push(other),
        }
    }
    out.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// An error in a line.
pub(super) fn bad_line(line: usize, what: impl std::fmt::Display) -> ErrorKind {
    crate::ErrorKind::BadText { line: line as u64, what: what.to_string() }.into()
}

/// Readable text of bytes.
pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().escape_debug().to_string()
}

/// Expands a leading tilde to the home folder.
fn expanded(word: &[u8]) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(word));
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

impl Input {
    /// Reads a file.
    ///
    /// # Errors
    /// As reading it; [`crate::ErrorKind::BadText`]: an option lacks its value.
    pub fn read(path: &Path) -> Result<Self> {
        const READ: &str = "read";
        Self::parse(&std::fs::read(path).at(READ, path)?).at(READ, path)
    }

    /// Parses the bytes of a file, in any encoding.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadText`]: an option lacks its value.
    pub fn parse(bytes: &[u8]) -> Result<Self, ErrorKind> {
        let mut input = Self::default();
        for (number, line) in lines(bytes).into_iter().enumerate().map(|(k, line)| (k + 1, line)) {
            input.take(number, line)?;
        }
        Ok(input)
    }

    fn take(&mut self, number: usize, line: Vec<u8>) -> Result<(), ErrorKind> {
        let (key, value) = {
            let mut words = words(&line);
            let Some(key) = words.next() else { return Ok(()) };
            (key.to_vec(), words.next().map(<[u8]>::to_vec))
        };
        let value = || value.clone().ok_or_else(|| bad_line(number, format!("'{}' has no value", shown(&key))));
        match key.as_slice() {
            b"sBodyFile" | b"sPrimaryFile" | b"file" => {
                self.files.push(Section { file: value()?, primary: key == b"sPrimaryFile", lines: Vec::new() });
                return Ok(());
            }
            b"sSrcFolder" | b"srcfolder" => self.source = Some(expanded(&value()?)),
            b"sDestFolder" | b"destfolder" => self.destination = Some(expanded(&value()?)),
            b"sTrialName" | b"trialname" => self.trial = Some(value()?),
            b"sSampleMode" | b"samplemode" => self.mode = Some((number, value()?)),
            b"iSeed" | b"seed" => self.seed = Some((number, value()?)),
            _ => {}
        }
        match self.files.last_mut() {
            // All lines after a file's name belong to that file.
            Some(section) => section.lines.push((number, line)),
            None if line.contains(&b'[') => self.astray.push(number),
            None => {}
        }
        Ok(())
    }

    /// The folder of the trials.
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadText`]: it is missing.
    pub fn destination(&self) -> Result<&Path, ErrorKind> {
        let missing = || bad_line(0, "it names no folder for the trials: add the line 'sDestFolder NAME'");
        self.destination.as_deref().ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says() {
        let text = b"# \xe9\nsSrcFolder .\r\n destfolder  a/b # here\nseed 3\n\nsBodyFile x.in\ndSemi [1, 2, n3] a\r\n\n\nrm dEcc\nfile vpl.in\nx";
        let input = Input::parse(text).expect("parses");
        assert_eq!(input.destination().expect("there"), Path::new("a/b"));
        assert_eq!((input.source.as_deref(), input.seed.clone()), (Some(Path::new(".")), Some((4, b"3".to_vec()))));
        let sections: Vec<_> = input.files.iter().map(|s| (s.path().to_str().unwrap_or(""), s.lines.len())).collect();
        assert_eq!(sections, [("x.in", 2), ("vpl.in", 1)]);
        assert_eq!(input.files[0].lines[0], (7, b"dSemi [1, 2, n3] a\n".to_vec()));
        assert_eq!(input.files[1].lines[0], (12, b"x".to_vec()));
        let error = Input::parse(b"\nsDestFolder\n").expect_err("is refused").to_string();
        assert!(error.contains("line 2: 'sDestFolder' has no value"), "{error}");
        let error = Input::parse(b"destfolders x").expect("parses").destination().expect_err("is refused").to_string();
        assert!(error.contains("sDestFolder NAME"), "{error}");
        assert_eq!(Input::parse(b"x [1, 2, 3] a\n").expect("parses").astray, [1]);
    }
}
