//! Lets two hosts meet through files in a folder that both see. The only assumption is that a file that one of them
//! renames into place becomes visible to the other.
//!
//! The host that joins takes the file `listening`. Then one asks (`request-N`) and the other answers (`answer-N`), in
//! turn.

use super::desk::{Answer, Request};
use super::folder::{PREFIX, TestFolder, clear, is_ours};
use super::trial::{Check, Side};
use h5part_base::error::ErrorKind;
use h5part_base::lock::ProcessId;
use h5part_base::storage::{Disk, Storage, replace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LISTENING: &str = "listening";
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// After this long, each look touches the folder, so that the host does not trust its cache.
const TOUCH_AFTER: Duration = Duration::from_millis(200);
/// How long to wait for the listener to remove the folder at the end.
const PARTING: Duration = Duration::from_secs(10);

/// What both sides exchange before any test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The process.
    pub process: ProcessId,
    /// Version of h5part.
    pub version: String,
    /// How the file system is mounted there.
    pub file_system: String,
    /// Why writing is refused there.
    pub refusal: Option<String>,
}

/// A message to the listener.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Hello(Introduction),
    Ask(Request),
    End(Vec<Check>),
}

/// A message from the listener.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Hello(Introduction),
    Answer(Answer),
}

/// How long to wait for the other host, a flag for giving up, and words for errors.
#[derive(Clone, Copy, Debug)]
pub struct Waits<'a> {
    /// Give up after this long.
    pub timeout: Duration,
    /// Give up when this is set.
    pub stop: &'a AtomicBool,
    /// What an error calls the other host before that host has introduced itself.
    pub whom: &'a str,
}

impl Waits<'_> {
    /// Retries until it succeeds. `what` says what it waits for.
    fn until<T>(
        &self,
        folder: &Path,
        what: impl Fn() -> String,
        mut attempt: impl FnMut() -> Result<Option<T>, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let (start, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            if let Some(found) = attempt()? {
                return Ok(found);
            }
            let waited = start.elapsed();
            if self.stop.load(Ordering::Relaxed) {
                return Err(ErrorKind::Io(io::ErrorKind::Interrupted.into()));
            }
            if waited > self.timeout {
                return Err(crate::ErrorKind::NoAnswer { what: what(), waited_s: waited.as_secs_f64() }.into());
            }
            if waited > TOUCH_AFTER {
                touch(folder);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Changes the folder: hosts cache its names for seconds, unless they change it themselves.
fn touch(folder: &Path) {
    let path = folder.join(format!("{PREFIX}look-{}", std::process::id()));
    // If this fails, the wait takes longer.
    let _ = File::create(&path);
    let _ = std::fs::remove_file(&path);
}

fn put(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), ErrorKind> {
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, serde_json::to_vec(value).map_err(io::Error::from)?)?;
    Ok(replace(&Disk, &new, &folder.join(name))?)
}

/// Reads a file that was renamed into place. `None`: it does not exist yet.
fn get<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ErrorKind> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(io::Error::from)?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The side that waits in a folder for another host to join.
#[derive(Debug)]
pub(super) struct Listener<'a> {
    folder: TestFolder,
    waits: Waits<'a>,
}

impl<'a> Listener<'a> {
    /// Creates the files, which are removed when this is dropped.
    pub(super) fn new(folder: &Path, waits: Waits<'a>) -> Result<Self, ErrorKind> {
        let folder = TestFolder::new(folder)?;
        put(folder.path(), LISTENING, &ProcessId::this())?;
        Ok(Self { folder, waits })
    }

    /// The folder in which the answering side works.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a host to join, answers until it has asked enough, and returns its introduction and results.
    pub(super) fn answer(
        &self,
        own: &Introduction,
        side: &mut dyn Side,
    ) -> Result<(Introduction, Vec<Check>), ErrorKind> {
        let mut peer: Option<Introduction> = None;
        for number in 0u64.. {
            let path = self.path().join(format!("request-{number}"));
            let whom = || match &peer {
                None => self.waits.whom.to_owned(),
                Some(peer) => format!("request {number} of host {} in {}", peer.process.host, self.path().display()),
            };
            let order = || match get(&path)? {
                None if !self.path().exists() => Err(io::Error::other("the other host gave up").into()),
                order => Ok(order),
            };
            let reply = match self.waits.until(self.path(), whom, order)? {
                Order::Hello(introduction) => {
                    // The other host learns from the reply whether it understands this one.
                    peer = Some(introduction);
                    Reply::Hello(own.clone())
                }
                Order::Ask(request) => Reply::Answer(side.ask(&request)?),
                Order::End(checks) => {
                    let peer = peer.ok_or_else(|| io::Error::other("the peer did not say who it is"))?;
                    return Ok((peer, checks));
                }
            };
            put(self.path(), &format!("answer-{number}"), &reply)?;
        }
        Err(io::Error::other("too many requests").into())
    }
}

/// The listener, as seen by the host that joined it.
#[derive(Debug)]
pub(super) struct Peer<'a> {
    folder: PathBuf,
    waits: Waits<'a>,
    /// The listener's introduction.
    pub(super) introduction: Introduction,
    sent: u64,
}

impl<'a> Peer<'a> {
    /// Waits for a listener in `folder`, joins it, and gets its introduction.
    pub(super) fn join(folder: &Path, own: &Introduction, waits: Waits<'a>) -> Result<Self, ErrorKind> {
        let whom = || waits.whom.to_owned();
        let met = waits.until(folder, whom, || claim(folder))?;
        let mut peer = Self { folder: met, waits, introduction: own.clone(), sent: 0 };
        match peer.send(&Order::Hello(own.clone()))? {
            Reply::Hello(listener) if listener.version != own.version => return Err(other_version(&listener).into()),
            Reply::Hello(listener) => peer.introduction = listener,
            Reply::Answer(answer) => return Err(io::Error::other(format!("{answer:?} is not an introduction")).into()),
        }
        Ok(peer)
    }

    /// The folder in which the asking side works.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    fn send(&mut self, order: &Order) -> Result<Reply, ErrorKind> {
        let number = self.sent;
        self.sent += 1;
        put(&self.folder, &format!("request-{number}"), order)?;
        let path = self.folder.join(format!("answer-{number}"));
        let whom = || format!("answer {number} of the host that listens, in {}", self.folder.display());
        self.waits.until(&self.folder, whom, || get(&path))
    }

    /// Sends the results. Returns when the listener has removed the files.
    pub(super) fn end(self, checks: &[Check]) -> Result<(), ErrorKind> {
        put(&self.folder, &format!("request-{}", self.sent), &Order::End(checks.to_vec()))?;
        let gone = || Ok((!self.folder.exists()).then_some(()));
        let waits = Waits { timeout: PARTING.min(self.waits.timeout), ..self.waits };
        // If it has not, the folder is removed here.
        let _ = waits.until(&self.folder, String::new, gone);
        Ok(())
    }
}

impl Drop for Peer<'_> {
    fn drop(&mut self) {
        clear(&self.folder);
    }
}

impl Side for Peer<'_> {
    fn ask(&mut self, request: &Request) -> Result<Answer, ErrorKind> {
        match self.send(&Order::Ask(request.clone()))? {
            Reply::Answer(answer) => Ok(answer),
            Reply::Hello(_) => Err(io::Error::other("expected an answer, found an introduction").into()),
        }
    }
}

fn other_version(listener: &Introduction) -> io::Error {
    let Introduction { process, version, .. } = listener;
    io::Error::other(format!("host {} has h5part {version}: use the same version on both", process.host))
}

/// Takes the invitation of a listener, if there is one. If several hosts try, only one gets it.
fn claim(folder: &Path) -> Result<Option<PathBuf>, ErrorKind> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let taken = path.join(format!("joined-{}", std::process::id()));
        if is_ours(&path) && Disk.rename(&path.join(LISTENING), &taken).is_ok() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::desk::{Desk, Kernel};
    use super::super::trial::trial;
    use super::*;

    fn introduction(host: &str) -> Introduction {
        let process = ProcessId { host: host.to_owned(), ..ProcessId::this() };
        Introduction { process, version: "1".into(), file_system: "ext4 at /".into(), refusal: None }
    }

    fn listen(folder: &Path, waits: Waits<'_>) -> Result<(Introduction, Vec<Check>), ErrorKind> {
        let listener = Listener::new(folder, waits)?;
        let mut side = Desk::new(listener.path(), Box::new(Kernel));
        listener.answer(&introduction("listens"), &mut side)
    }

    fn is_empty(folder: &Path) -> bool {
        std::fs::read_dir(folder).expect("folder").next().is_none()
    }

    #[test]
    fn two_meet_say_who_they_are_and_come_to_the_same() {
        let folder = tempfile::tempdir().expect("tempdir");
        let stop = AtomicBool::new(false);
        let waits = Waits { timeout: Duration::from_secs(60), stop: &stop, whom: "anybody" };
        let (listened, joined) = std::thread::scope(|scope| {
            let listener = scope.spawn(|| listen(folder.path(), waits).expect("meets"));
            let mut peer = Peer::join(folder.path(), &introduction("joins"), waits).expect("joins");
            let path = peer.path().to_owned();
            let mut side = Desk::new(&path, Box::new(Kernel));
            let checks = trial([&mut peer, &mut side], ["listens", "joins"]).expect("both answer");
            let who = peer.introduction.clone();
            peer.end(&checks).expect("ends");
            (listener.join().expect("ends"), (who, checks))
        });
        assert_eq!((listened.0.process.host.as_str(), joined.0.process.host.as_str()), ("joins", "listens"));
        assert_eq!(listened.1, joined.1);
        assert!(joined.1.iter().all(|check| check.passed), "{:#?}", joined.1);
        assert!(is_empty(folder.path()));
    }

    #[test]
    fn who_is_not_met_is_named_and_nothing_is_left() {
        let folder = tempfile::tempdir().expect("tempdir");
        let stop = AtomicBool::new(false);
        let waits = Waits { timeout: Duration::from_millis(300), stop: &stop, whom: "anybody" };
        let error = listen(folder.path(), waits).expect_err("nobody joins").to_string();
        assert!(error.contains("no answer from anybody after"), "{error}");
        let error = Peer::join(folder.path(), &introduction("joins"), waits).expect_err("nobody listens").to_string();
        assert!(error.contains("no answer from anybody after"), "{error}");
        // A host joins, and then sends nothing.
        let error = std::thread::scope(|scope| {
            let listener = scope.spawn(|| listen(folder.path(), waits).expect_err("silence").to_string());
            let peer = Peer::join(folder.path(), &introduction("joins"), waits).expect("joins");
            let error = listener.join().expect("ends");
            drop(peer);
            error
        });
        assert!(error.contains("request 1 of host joins"), "{error}");
        assert!(is_empty(folder.path()));
    }

    #[test]
    fn who_gives_up_is_noticed_and_who_is_asked_to_stop_stops() {
        let folder = tempfile::tempdir().expect("tempdir");
        let stop = AtomicBool::new(false);
        let waits = Waits { timeout: Duration::from_secs(60), stop: &stop, whom: "anybody" };
        let error = std::thread::scope(|scope| {
            let listener = scope.spawn(|| listen(folder.path(), waits).expect_err("it is alone").to_string());
            drop(Peer::join(folder.path(), &introduction("joins"), waits).expect("joins"));
            listener.join().expect("ends")
        });
        assert!(error.contains("the other host gave up"), "{error}");
        stop.store(true, Ordering::Relaxed);
        let error = listen(folder.path(), waits).expect_err("stops");
        assert!(matches!(&error, ErrorKind::Io(e) if e.kind() == io::ErrorKind::Interrupted), "{error:?}");
        assert!(is_empty(folder.path()));
    }

    #[test]
    fn other_versions_are_not_understood() {
        let folder = tempfile::tempdir().expect("tempdir");
        let stop = AtomicBool::new(false);
        let waits = Waits { timeout: Duration::from_secs(60), stop: &stop, whom: "anybody" };
        let (listened, joined) = std::thread::scope(|scope| {
            let listener = scope.spawn(|| listen(folder.path(), waits).expect_err("it is alone").to_string());
            let other = Introduction { version: "2".into(), ..introduction("joins") };
            let joined = Peer::join(folder.path(), &other, waits).expect_err("another version").to_string();
            (listener.join().expect("ends"), joined)
        });
        assert!(joined.contains("host listens has h5part 1: use the same version"), "{joined}");
        assert!(listened.contains("the other host gave up"), "{listened}");
        assert!(is_empty(folder.path()));
    }

    /// Several hosts join one listener, and only one gets it.
    #[test]
    fn an_invitation_is_for_one() {
        let folder = tempfile::tempdir().expect("tempdir");
        let stop = AtomicBool::new(false);
        let waits = Waits { timeout: Duration::from_secs(60), stop: &stop, whom: "anybody" };
        let listener = Listener::new(folder.path(), waits).expect("listens");
        assert_eq!(claim(folder.path()).expect("looks").as_deref(), Some(listener.path()));
        assert_eq!(claim(folder.path()).expect("looks"), None);
        // Other folders are not touched.
        let other = folder.path().join("data");
        std::fs::create_dir(&other).expect("mkdir");
        std::fs::write(other.join(LISTENING), "mine").expect("write");
        assert_eq!(claim(folder.path()).expect("looks"), None);
        clear(&other);
        assert!(other.join(LISTENING).exists());
    }
}
