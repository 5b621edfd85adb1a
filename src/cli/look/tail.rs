//! The end of a log in displayable form. A log may be large, and contain anything.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Most bytes that are read.
const MOST_BYTES: u64 = 16 << 10;
/// Longer lines are cut at this many characters.
const WIDEST: usize = 300;

/// The last lines of a log, without control characters and escape sequences. Empty if there is no log.
pub fn tail(path: &Path, lines: usize) -> Vec<String> {
    let read = || -> std::io::Result<(Vec<u8>, bool)> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok((Vec::new(), false));
        }
        let start = metadata.len().saturating_sub(MOST_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok((bytes, start > 0))
    };
    let (bytes, is_cut) = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // Its first line began before the part that was read.
    let text = if is_cut { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &*text };
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| plain(line)).collect()
}

/// Removes escape sequences and control characters.
pub fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                // Skips to the final byte.
                Some('[') => while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // Skips a title or similar, up to BEL or ST.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(c) = rest.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                Some('(' | ')' | '#' | '%') => _ = rest.next(),
                _ => {}
            },
            '\t' => out.push_str("    "),
            c if c.is_control() => {}
            // These change the direction of neighbouring text.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => out.push(c),
        }
        if out.len() > 4 * WIDEST {
            break;
        }
    }
    match out.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_passed_on() {
        for (text, expected) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://a\u{1b}\\y", "y"),
            ("a\rb\u{8}c\td", "abc    d"),
            ("\u{1b}(Bz", "z"),
            ("\u{1b}", ""),
            ("\u{1b}[31", ""),
            ("ab\u{202e}c", "abc"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
        assert_eq!(plain(&"x".repeat(10_000)).chars().count(), WIDEST + 1);
    }

    #[test]
    fn of_a_large_log_the_end_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("log");
        let text: Vec<String> = (0..100_000).map(|k| format!("line {k}\n")).collect();
        std::fs::write(&path, text.concat()).expect("writes");
        assert_eq!(tail(&path, 2), ["line 99998", "line 99999"]);
        std::fs::write(&path, vec![b'x'; 1 << 20]).expect("writes");
        assert_eq!(tail(&path, 5).len(), 1, "one line without an end");
        assert!(tail(&folder.path().join("none"), 5).is_empty() && tail(folder.path(), 5).is_empty());
    }
}
