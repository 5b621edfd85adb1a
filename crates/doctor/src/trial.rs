//! The tests between two sides: their steps, and how to run them.

use super::desk::{Answer, DATA_LEN, Desk, Lock, Request};
use h5part_base::error::ErrorKind;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Executes requests on files that both sides see.
pub trait Side {
    /// Sends a request, and waits for the answer.
    ///
    /// # Errors
    /// No answer arrived: [`crate::ErrorKind::NoAnswer`], or the connection is broken.
    fn ask(&mut self, request: &Request) -> Result<Answer, ErrorKind>;
}

impl Side for Desk {
    fn ask(&mut self, request: &Request) -> Result<Answer, ErrorKind> {
        Ok(self.answer(request))
    }
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What should hold.
    pub what: String,
    /// Whether it does.
    pub passed: bool,
    /// What was seen instead.
    pub seen: Option<String>,
}

#[derive(Clone, Debug)]
struct Step {
    who: usize,
    request: Request,
    expected: Answer,
    /// The expected answer may take some time.
    soon: bool,
}

#[derive(Debug)]
struct Case {
    what: String,
    steps: Vec<Step>,
}

/// A server may take its time to release the locks of a dead process.
const SOON: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// Bytes that the sides write in turn into the same page.
const PIECE: usize = 8;
const PIECES: usize = 24;

/// Runs all tests between two sides with these names.
///
/// # Errors
/// Those of [`Side::ask`]. The result is then unknown.
pub fn trial(mut sides: [&mut dyn Side; 2], names: [&str; 2]) -> Result<Vec<Check>, ErrorKind> {
    cases(names).iter().map(|case| check(case, &mut sides, names)).collect()
}

fn check(case: &Case, sides: &mut [&mut dyn Side; 2], names: [&str; 2]) -> Result<Check, ErrorKind> {
    for side in sides.iter_mut() {
        side.ask(&Request::Reset)?;
    }
    let mut seen = None;
    for step in &case.steps {
        let answer = take(step, sides[step.who])?;
        if answer != step.expected {
            seen = Some(told(step, &answer, names[step.who]));
            break;
        }
    }
    Ok(Check { what: case.what.clone(), passed: seen.is_none(), seen })
}

fn take(step: &Step, side: &mut dyn Side) -> Result<Answer, ErrorKind> {
    let start = Instant::now();
    loop {
        let answer = side.ask(&step.request)?;
        if answer == step.expected || !step.soon || start.elapsed() > SOON {
            return Ok(answer);
        }
        std::thread::sleep(PAUSE);
    }
}

fn told(step: &Step, answer: &Answer, side: &str) -> String {
    match (&step.request, answer) {
        (_, Answer::Failed(words)) => format!("{side} got an error: {words}"),
        (Request::Take(lock, true), Answer::Done) => {
            format!("{side} got an exclusive {lock} despite the other's lock")
        }
        (Request::Take(lock, false), Answer::Done) => {
            format!("{side} got a shared {lock} despite the other's exclusive one")
        }
        (Request::Take(lock, _), Answer::Refused) => {
            format!("{side} was refused a {lock} that nobody holds against it")
        }
        (_, Answer::Text(text)) => match &step.expected {
            Answer::Text(expected) => differs(side, expected, text),
            _ => format!("{side} read '{text}'"),
        },
        (request, answer) => format!("{side} said {answer:?} to {request:?}"),
    }
}

/// Describes the text from the first differing byte on.
fn differs(side: &str, expected: &str, text: &str) -> String {
    let at = expected.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count() / PIECE * PIECE;
    let piece = |text: &str| {
        String::from_utf8_lossy(text.as_bytes().get(at..).unwrap_or_default()).chars().take(PIECE).collect::<String>()
    };
    format!("{side} read '{}' at byte {at}, where '{}' was written", piece(text), piece(expected))
}

fn step(who: usize, request: Request, expected: Answer) -> Step {
    Step { who, request, expected, soon: false }
}

fn takes(who: usize, lock: Lock, alone: bool) -> Step {
    step(who, Request::Take(lock, alone), Answer::Done)
}

fn refused(who: usize, lock: Lock, alone: bool) -> Step {
    step(who, Request::Take(lock, alone), Answer::Refused)
}

fn releases(who: usize, lock: Lock) -> Step {
    step(who, Request::Release(lock), Answer::Done)
}

fn cases(names: [&str; 2]) -> Vec<Case> {
    let mut cases = Vec::new();
    for lock in [Lock::Gate, Lock::Row(7)] {
        for holder in [0, 1] {
            cases.extend(exclusion(lock, holder, names));
        }
    }
    cases.push(neighbours());
    cases.push(bytes());
    cases.push(renames());
    cases.push(lengths());
    cases
}

fn exclusion(lock: Lock, holder: usize, names: [&str; 2]) -> [Case; 3] {
    let other = 1 - holder;
    let (one, two) = (names[holder], names[other]);
    [
        Case {
            what: format!("{lock}: an exclusive one of {one} keeps {two} out, until it is released"),
            steps: vec![
                takes(holder, lock, true),
                refused(other, lock, true),
                refused(other, lock, false),
                releases(holder, lock),
                takes(other, lock, true),
            ],
        },
        Case {
            what: format!("{lock}: a shared one of {one} lets a shared one of {two} in, and no exclusive one"),
            steps: vec![
                takes(holder, lock, false),
                refused(other, lock, true),
                takes(other, lock, false),
                releases(holder, lock),
                takes(other, lock, true),
            ],
        },
        Case {
            what: format!("{lock}: the death of its holder ({one}) releases it to {two}"),
            steps: vec![
                takes(holder, lock, true),
                refused(other, lock, true),
                step(holder, Request::Die, Answer::Done),
                Step { soon: true, ..takes(other, lock, true) },
            ],
        },
    ]
}

fn neighbours() -> Case {
    let (one, next) = (Lock::Row(7), Lock::Row(8));
    Case {
        what: format!("{one}: neighbouring ranges are held by both, one each"),
        steps: vec![takes(0, one, true), takes(1, next, true), refused(1, one, true), refused(0, next, true)],
    }
}

/// As in commits: both have a shared lock on the file, and both have read the page before.
fn bytes() -> Case {
    let blank = Request::Write { at: 0, text: ".".repeat(DATA_LEN) };
    let mut steps = vec![step(0, blank, Answer::Done), takes(0, Lock::Data, false), takes(1, Lock::Data, false)];
    let page = Request::Read { at: 0, len: DATA_LEN };
    let mut content = vec![b'.'; DATA_LEN];
    let all = |content: &[u8]| Answer::Text(String::from_utf8_lossy(content).into_owned());
    steps.extend([0, 1].map(|who| step(who, page.clone(), all(&content))));
    for number in 0..PIECES {
        let (writer, start) = (number % 2, number * PIECE);
        let text = format!("{number:07}{}", ["a", "b"][writer]);
        content[start..start + PIECE].copy_from_slice(text.as_bytes());
        let read = Request::Read { at: start as u64, len: PIECE };
        steps.push(step(writer, Request::Write { at: start as u64, text: text.clone() }, Answer::Done));
        steps.push(step(1 - writer, read, Answer::Text(text)));
    }
    steps.extend([0, 1].map(|who| step(who, page.clone(), all(&content))));
    Case { what: "bytes: each side reads at once what both have written side by side".to_owned(), steps }
}

fn renames() -> Case {
    let replace = |who, text: &str| step(who, Request::Replace(text.to_owned()), Answer::Done);
    let named = |who, text: &str| step(who, Request::Named, Answer::Text(text.to_owned()));
    Case {
        what: "names: when one side renames a file over another, the other side finds it at once".to_owned(),
        steps: vec![
            replace(0, "one"),
            named(1, "one"),
            replace(1, "two"),
            named(0, "two"),
            replace(0, "three"),
            named(1, "three"),
        ],
    }
}

fn lengths() -> Case {
    let long = DATA_LEN as u64;
    let set = |who, len| step(who, Request::SetLength(len), Answer::Done);
    let sees = |who, len| step(who, Request::Length, Answer::Number(len));
    Case {
        what: "length: each side sees at once how long the other has made a file".to_owned(),
        steps: vec![
            set(0, 2 * long),
            sees(1, 2 * long),
            set(1, 3 * long),
            sees(0, 3 * long),
            set(0, long),
            sees(1, long),
        ],
    }
}

/// Clocks of hosts may differ by this much. Nothing depends on them, but people compare times.
const SKEW_MS: u64 = 1000;

/// Compares the clocks of two sides.
///
/// # Errors
/// Those of [`Side::ask`].
pub(super) fn clocks(sides: [&mut dyn Side; 2], names: [&str; 2]) -> Result<Check, ErrorKind> {
    let [first, second] = sides;
    let read = |side: &mut dyn Side| match side.ask(&Request::Clock)? {
        Answer::Number(ms) => Ok::<_, ErrorKind>(ms),
        other => Err(ErrorKind::BadRequest(format!("a clock said {other:?}"))),
    };
    // The second clock is read between two looks at the first.
    let (before, there, after) = (read(second)?, read(first)?, read(second)?);
    let skew_ms = before.saturating_sub(there).max(there.saturating_sub(after));
    let seen = (skew_ms > SKEW_MS).then(|| format!("those of {} and {} differ by {skew_ms} ms", names[0], names[1]));
    Ok(Check { what: format!("clocks differ by at most {SKEW_MS} ms"), passed: seen.is_none(), seen })
}

#[cfg(test)]
mod tests {
    use super::super::desk::{Kernel, Locks, make};
    use super::*;
    use std::fs::File;
    use std::io;

    /// Broken locks of a file system, in several ways.
    #[derive(Clone, Copy, Debug)]
    enum Broken {
        /// Every lock is granted.
        Granted,
        /// Each host keeps its flock(2) locks to itself.
        FlockLocal,
        /// Each host keeps its byte-range locks to itself.
        RangesLocal,
        /// There are no locks.
        None,
        /// A range locks the whole file.
        WholeFile,
        /// Exclusive locks act like shared ones.
        AllShared,
    }

    impl Locks for Broken {
        fn take(&mut self, lock: Lock, file: &File, alone: bool) -> io::Result<bool> {
            let (range, flock) = (matches!(lock, Lock::Row(_)), !matches!(lock, Lock::Row(_)));
            match self {
                Self::Granted => Ok(true),
                Self::FlockLocal if flock => Ok(true),
                Self::RangesLocal if range => Ok(true),
                Self::None => Err(io::Error::from_raw_os_error(nix::libc::ENOSYS)),
                Self::WholeFile if range => Kernel.take(Lock::Row(0), file, alone),
                Self::AllShared => Kernel.take(lock, file, false),
                _ => Kernel.take(lock, file, alone),
            }
        }

        fn release(&mut self, lock: Lock, file: &File) -> io::Result<()> {
            match (self, lock) {
                (Self::WholeFile, Lock::Row(_)) => Kernel.release(Lock::Row(0), file),
                _ => Kernel.release(lock, file),
            }
        }
    }

    fn tried(locks: impl Locks + Copy + 'static) -> Vec<Check> {
        let folder = tempfile::tempdir().expect("tempdir");
        make(folder.path()).expect("files");
        let mut sides = [0, 1].map(|_| Desk::new(folder.path(), Box::new(locks)));
        let [first, second] = &mut sides;
        trial([first, second], ["A", "B"]).expect("both answer")
    }

    fn failed(locks: Broken) -> Vec<String> {
        let checks = tried(locks);
        assert_eq!(checks.len(), 16);
        let failed = checks.into_iter().filter(|check| !check.passed);
        failed.map(|check| format!("{}: {}", check.what, check.seen.expect("what was seen"))).collect()
    }

    #[test]
    fn locks_of_a_local_file_system_pass() {
        let checks = tried(Kernel);
        assert!(checks.len() == 16 && checks.iter().all(|check| check.passed), "{checks:#?}");
    }

    #[test]
    fn locks_that_do_not_exclude_are_found() {
        let granted = failed(Broken::Granted);
        // All tests of both kinds of locks fail; those of bytes and names pass.
        assert_eq!(granted.len(), 13, "{granted:#?}");
        assert!(granted[0].ends_with("B got an exclusive flock despite the other's lock"), "{granted:#?}");
        let flock = failed(Broken::FlockLocal);
        assert!(flock.len() == 6 && flock.iter().all(|told| told.starts_with("flock")), "{flock:#?}");
        let ranges = failed(Broken::RangesLocal);
        assert!(ranges.len() == 7 && ranges.iter().all(|told| told.starts_with("byte-range")), "{ranges:#?}");
        let shared = failed(Broken::AllShared);
        assert_eq!(shared.len(), 13, "{shared:#?}");
    }

    #[test]
    fn locks_that_are_refused_or_too_wide_are_found() {
        let none = failed(Broken::None);
        assert_eq!(none.len(), 14, "the bytes are read under a lock, too: {none:#?}");
        assert!(none[0].contains("Function not implemented"), "{none:#?}");
        let wide = failed(Broken::WholeFile);
        assert!(wide.len() == 1 && wide[0].contains("neighbouring"), "{wide:#?}");
    }

    /// A side that caches what it has read, as clients of servers do.
    struct Caching {
        desk: Desk,
        page: Option<Vec<u8>>,
    }

    impl Side for Caching {
        fn ask(&mut self, request: &Request) -> Result<Answer, ErrorKind> {
            let all = Request::Read { at: 0, len: DATA_LEN };
            match request {
                Request::Reset => self.page = None,
                Request::Write { at, text } => {
                    let start = usize::try_from(*at).expect("small");
                    if let Some(page) = &mut self.page {
                        page[start..start + text.len()].copy_from_slice(text.as_bytes());
                    }
                }
                Request::Read { at, len } => {
                    let Answer::Text(text) = self.desk.answer(&all) else { panic!("reads") };
                    let page = self.page.get_or_insert(text.into_bytes());
                    let start = usize::try_from(*at).expect("small");
                    return Ok(Answer::Text(String::from_utf8_lossy(&page[start..start + len]).into_owned()));
                }
                _ => {}
            }
            Ok(self.desk.answer(request))
        }
    }

    #[test]
    fn hosts_that_read_what_they_remember_are_found() {
        let folder = tempfile::tempdir().expect("tempdir");
        make(folder.path()).expect("files");
        let mut first = Caching { desk: Desk::new(folder.path(), Box::new(Kernel)), page: None };
        let mut second = Caching { desk: Desk::new(folder.path(), Box::new(Kernel)), page: None };
        let checks = trial([&mut first, &mut second], ["A", "B"]).expect("both answer");
        let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
        assert_eq!(failed.len(), 1, "{failed:#?}");
        let seen = failed[0].seen.as_deref().expect("what was seen");
        assert_eq!(seen, "B read '........' at byte 0, where '0000000a' was written");
    }
}
