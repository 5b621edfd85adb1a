//! Reads and writes the checkpoint text of multiplanet. This module does no I/O.
//!
//! Each line holds a task and its state: -1 waiting, 0 running, 1 done.

use h5part_base::error::ErrorKind;

const FILE: &str = "Vspace File:";
const COUNT: &str = "Total Number of Simulations:";
const END: &str = "THE END";

/// State of a task, as far as the text can express it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// -1
    Waiting,
    /// 0
    Running,
    /// 1
    Done,
}

/// A checkpoint text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The vspace.in that it belongs to.
    pub origin: String,
    /// Tasks in order.
    pub tasks: Vec<(String, Mark)>,
    /// The number of tasks that it announces, if it was cut and has fewer.
    pub announced: Option<u64>,
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Self::Waiting => "-1",
            Self::Running => "0",
            Self::Done => "1",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Running, Self::Done].into_iter().find(|mark| mark.word() == word)
    }
}

impl Checkpoint {
    /// Parses a text, with or without blanks at the ends of lines. A damaged tail, as a kill leaves it, is dropped, and
    /// [`Checkpoint::announced`] is set.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`]: it is not such a text.
    pub fn parse(text: &str) -> Result<Self, ErrorKind> {
        let bad = |why: String| ErrorKind::BadRequest(format!("this is not a checkpoint of multiplanet: {why}"));
        let mut lines = text.lines().enumerate();
        let mut head = |key: &str| {
            let line = lines.next().map(|(_, line)| line);
            line.and_then(|line| line.strip_prefix(key)).map(|rest| rest.trim().to_owned())
        };
        let origin = head(FILE).ok_or_else(|| bad(format!("its first line does not begin with '{FILE}'")))?;
        let count = head(COUNT).ok_or_else(|| bad(format!("its second line does not begin with '{COUNT}'")))?;
        let count: u64 = count.parse().map_err(|_| bad(format!("'{count}' is not a number of simulations")))?;
        let mut checkpoint = Self { origin, ..Self::default() };
        let mut damaged = None;
        for (number, line) in lines {
            if line.trim() == END {
                break;
            }
            if let Some(number) = damaged {
                return Err(bad(format!("its line {number} has no state")));
            }
            match line.trim_end().rsplit_once(' ').and_then(|(name, word)| Some((name, Mark::of_word(word)?))) {
                Some((name, mark)) if !name.is_empty() => checkpoint.tasks.push((name.to_owned(), mark)),
                _ if line.trim().is_empty() => {}
                // At the very end, this is what a kill leaves.
                _ => damaged = Some(number + 1),
            }
        }
        checkpoint.announced = (count != checkpoint.tasks.len() as u64).then_some(count);
        Ok(checkpoint)
    }

    /// Whether a kill left only a part of its first two lines, or nothing.
    #[must_use]
    pub fn is_cut_in_head(bytes: &[u8]) -> bool {
        let mut lines = bytes.split(|&byte| byte == b'\n');
        let begins = |line: &[u8], key: &str| line.starts_with(key.as_bytes()) || key.as_bytes().starts_with(line);
        let first = lines.next().is_some_and(|line| begins(line, FILE));
        // What follows the last line end is a line that was cut.
        first && lines.next().is_none_or(|line| begins(line, COUNT) && lines.next().is_none())
    }

    /// Formats the text.
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = format!("{FILE} {}\n{COUNT} {}\n", self.origin, self.tasks.len());
        for (name, mark) in &self.tasks {
            out.extend([name, " ", mark.word(), "\n"]);
        }
        out.extend([END, "\n"]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "Vspace File: /a b/vspace.in\nTotal Number of Simulations: 3\n\
                        /a b/MP/semi_a0 1\n/a b/MP/semi_a1 0 \n/a b/MP/semi_a2 -1\nTHE END\n";

    #[test]
    fn blanks_at_ends_of_lines_make_no_difference() {
        let checkpoint = Checkpoint::parse(TEXT).expect("parses");
        assert_eq!(checkpoint.origin, "/a b/vspace.in");
        let names: Vec<_> = checkpoint.tasks.iter().map(|(name, mark)| (name.as_str(), *mark)).collect();
        let expected =
            [("/a b/MP/semi_a0", Mark::Done), ("/a b/MP/semi_a1", Mark::Running), ("/a b/MP/semi_a2", Mark::Waiting)];
        assert_eq!((names.as_slice(), checkpoint.announced), (expected.as_slice(), None));
        assert_eq!(checkpoint.format(), TEXT.replace(" 0 \n", " 0\n"));
    }

    #[test]
    fn whatever_a_kill_leaves_is_read_as_far_as_it_is_whole() {
        let whole = Checkpoint::parse(TEXT).expect("parses");
        let header = TEXT.find("/a b/MP").expect("header");
        for len in 0..TEXT.len() {
            assert_eq!(Checkpoint::is_cut_in_head(&TEXT.as_bytes()[..len]), len < header, "{len} bytes");
        }
        assert!(!Checkpoint::is_cut_in_head(b"sSrcFolder .\n"));
        for len in header..TEXT.len() {
            let cut = Checkpoint::parse(&TEXT[..len]).expect("parses");
            assert!(whole.tasks.starts_with(&cut.tasks), "{len} bytes: {cut:?}");
            assert_eq!(cut.announced.is_some(), cut.tasks.len() < 3, "{len} bytes");
        }
        let middle = TEXT.replace("semi_a1 0 ", "semi_a1");
        let error = Checkpoint::parse(&middle).expect_err("is damaged").to_string();
        assert!(error.contains("line 4"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(names in prop::collection::vec("[^\n\r ][^\n\r]{0,12}[^\n\r ]", 0..8), marks in prop::collection::vec(0u8..3, 8)) {
            let mark = |k: usize| [Mark::Waiting, Mark::Running, Mark::Done][usize::from(marks[k])];
            let tasks = names.into_iter().enumerate().map(|(k, name)| (name, mark(k))).collect();
            let checkpoint = Checkpoint { origin: "/x".to_owned(), tasks, announced: None };
            prop_assert_eq!(Checkpoint::parse(&checkpoint.format()).expect("parses"), checkpoint);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            let _ = Checkpoint::parse(&text);
            let _ = Checkpoint::parse(&format!("{FILE} x\n{COUNT} 7\n{text}"));
        }
    }
}
