//! A ledger in memory: whoever reads or writes it lets others run before each sector.

use crate::explore::{Outcome, pick};
use crate::memory::point;
use crate::world::{World, patience};
use h5part::ErrorKind;
use h5part::ledger::{Claim, ClaimOptions, Claimed, End, Ledger, NewLedger, Owner, OwnerId, Reason, TaskState, Watch};
use h5part_base::storage::{Identity, Mode, Storage, StorageFile};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub type Body = Box<dyn FnOnce() -> Outcome + Send>;

const SECTOR: usize = 512;

/// The ledger's bytes, under whichever name.
#[derive(Clone, Debug, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn with<T>(&self, body: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn each_sector(len: usize, address: u64, mut body: impl FnMut(usize, std::ops::Range<usize>)) {
        let start = usize::try_from(address).expect("small");
        let mut at = start;
        while at < start + len {
            let end = (at - at % SECTOR + SECTOR).min(start + len);
            point();
            body(at, at - start..end - start);
            at = end;
        }
    }
}

impl Storage for Bytes {
    fn open(&self, _: &Path, _: Mode) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(self.clone()))
    }

    fn identity(&self, _: &Path) -> io::Result<Identity> {
        StorageFile::identity(self)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for Bytes {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        let end = usize::try_from(address).expect("small") + buf.len();
        if self.with(|bytes| bytes.len()) < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = buf.len();
        Self::each_sector(len, address, |at, part| {
            self.with(|bytes| buf[part.clone()].copy_from_slice(&bytes[at..at + part.len()]));
        });
        Ok(())
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        Self::each_sector(buf.len(), address, |at, part| {
            self.with(|bytes| {
                let len = bytes.len().max(at + part.len());
                bytes.resize(len, 0);
                bytes[at..at + part.len()].copy_from_slice(&buf[part]);
            });
        });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|bytes| bytes.resize(usize::try_from(len).expect("small"), 0));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { device: 1, inode: 1, len: self.with(|bytes| bytes.len()) as u64, links: 1 })
    }
}

/// A ledger, with handles that are opened once, each as a process has it.
pub struct Site {
    _scratch: tempfile::TempDir,
    first: Vec<u8>,
    bytes: Bytes,
    handles: Vec<Arc<Ledger>>,
    /// Its process has ended, but for those that go on all the same.
    dead: Owner,
    tickets: AtomicU64,
}

pub fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

pub fn is_fenced(e: &h5part::Error) -> bool {
    matches!(e.kind(), ErrorKind::Fenced { .. })
}

/// An owner whose process has ended: whoever looks takes its tasks.
fn dead_owner() -> Owner {
    let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("starts");
    let id = h5part_base::lock::ProcessId::of(i32::try_from(child.id()).expect("pid")).expect("is there");
    child.kill().expect("kills");
    child.wait().expect("ends");
    Owner::of(id)
}

impl Site {
    /// `apart`: the locks of the handles do not meet, as in containers that see different files.
    pub fn new(new: &NewLedger, handles: usize, apart: bool) -> Arc<Self> {
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("tempdir");
        let path = |k: usize| -> PathBuf { scratch.path().join(format!("{}.ledger", if apart { k } else { 0 })) };
        new.create(path(0)).expect("makes");
        let first = std::fs::read(path(0)).expect("reads");
        let bytes = Bytes(Arc::new(Mutex::new(first.clone())));
        let handle = |k: usize| {
            if !path(k).exists() {
                std::fs::write(path(k), b"a placeholder").expect("writes");
            }
            let ledger = Ledger::open_in(path(k), Arc::new(bytes.clone())).expect("opens");
            Arc::new(ledger.with_patience(patience()).with_clock(|| 1_000_000))
        };
        let handles = (0..handles).map(handle).collect();
        Arc::new(Self { first, bytes, handles, dead: dead_owner(), tickets: AtomicU64::new(1), _scratch: scratch })
    }

    /// As it was made.
    pub fn begin(&self) {
        self.bytes.with(|bytes| bytes.clone_from(&self.first));
    }

    pub fn ledger(&self, k: usize) -> Arc<Ledger> {
        Arc::clone(&self.handles[k])
    }

    /// One whom the next look takes for dead, though it goes on.
    pub fn owner(&self) -> Owner {
        Owner { ticket: self.tickets.fetch_add(1, Ordering::Relaxed), ..self.dead.clone() }
    }

    /// The same, as its beat alone tells.
    pub fn silent_owner(&self) -> Owner {
        let mut owner = self.owner();
        "another-host".clone_into(&mut owner.process.host);
        owner
    }
}

/// What workers were told.
#[derive(Debug, Default)]
pub struct Told {
    claims: BTreeSet<(u64, u64)>,
    done: BTreeSet<u64>,
}

impl Told {
    fn claimed(told: &Mutex<Self>, claims: &[Claim]) -> Outcome {
        let mut told = told.lock().expect("lock");
        for claim in claims {
            if !told.claims.insert((claim.place, claim.fence)) {
                return Err(format!("claim {} of task {} was given twice", claim.fence, claim.place));
            }
        }
        Ok(())
    }

    fn done(told: &Mutex<Self>, claim: &Claim) -> Outcome {
        let fresh = told.lock().expect("lock").done.insert(claim.place);
        if fresh { Ok(()) } else { Err(format!("task {} was told to be done twice", claim.place)) }
    }
}

/// Claims; whom others gave up enters itself anew. No claim: nothing waits.
pub fn claim(ledger: &Ledger, owner: &mut OwnerId, as_: &Owner, count: u64) -> Result<Vec<Claim>, String> {
    match ledger.claim(*owner, &ClaimOptions { count, delay: Duration::ZERO }) {
        Ok(Claimed::Tasks(claims)) => Ok(claims),
        Ok(Claimed::Nothing { .. }) => Ok(Vec::new()),
        Err(e) if is_fenced(&e) => {
            *owner = ledger.register(as_).map_err(text)?;
            Ok(Vec::new())
        }
        Err(e) => Err(text(e)),
    }
}

/// A worker; what it claims it tells to be done, failed or given back, late or never.
pub fn working(site: &Site, handle: usize, told: &Arc<Mutex<Told>>) -> Body {
    let (ledger, told, as_) = (site.ledger(handle), Arc::clone(told), site.silent_owner());
    Box::new(move || {
        let mut owner = ledger.register(&as_).map_err(text)?;
        for _ in 0..2 {
            let claims = claim(&ledger, &mut owner, &as_, 1 + pick(2) as u64)?;
            Told::claimed(&told, &claims)?;
            let end = match pick(6) {
                0 => continue,
                1 => End::Failed(Reason::Exit(1)),
                2 => End::Released,
                _ => End::Done,
            };
            if pick(3) == 0 {
                let _ = ledger.beat(owner);
            }
            for (claim, answer) in claims.iter().zip(ledger.finish_all(&claims, end).map_err(text)?) {
                match answer {
                    Ok(TaskState::Done) => Told::done(&told, claim)?,
                    Ok(_) => {}
                    Err(e) if is_fenced(&e) => {}
                    Err(e) => return Err(text(e)),
                }
            }
        }
        Ok(())
    })
}

/// One who takes the silent for dead.
pub fn reaping(site: &Site, handle: usize, times: usize) -> Body {
    let ledger = site.ledger(handle);
    Box::new(move || {
        let mut watch = Watch::new(Duration::ZERO, |_| None);
        (0..times).try_for_each(|_| ledger.reap(&mut watch).map(|_| ()).map_err(text))
    })
}

/// A person who wants tasks again, or no more; but none that is done.
pub fn operating(site: &Site, handle: usize) -> Body {
    let ledger = site.ledger(handle);
    Box::new(move || {
        for _ in 0..2 {
            let place = pick(usize::try_from(ledger.len()).expect("small")) as u64;
            if pick(3) > 0 {
                ledger.requeue(&[place], |task| task.state != TaskState::Done).map_err(text)?;
            } else {
                ledger.cancel(&[place]).map_err(text)?;
            }
        }
        Ok(())
    })
}

/// When all have ended: done is what was told, and whatever else is not failed can be claimed.
pub fn settled(site: &Site, told: &Mutex<Told>) -> Outcome {
    let ledger = site.ledger(0);
    ledger.reap(&mut Watch::new(Duration::ZERO, |_| None)).map_err(text)?;
    let (mut open, mut done) = (BTreeSet::new(), BTreeSet::new());
    for place in 0..ledger.len() {
        match ledger.task(place).map_err(text)?.state {
            TaskState::Running => return Err(format!("task {place} runs, and nobody works on it")),
            TaskState::Waiting => _ = open.insert(place),
            TaskState::Done => _ = done.insert(place),
            TaskState::Failed => {}
        }
    }
    let told = &told.lock().expect("lock").done;
    if done != *told {
        return Err(format!("{done:?} are done, and {told:?} were told to be"));
    }
    let as_ = site.silent_owner();
    let mut owner = ledger.register(&as_).map_err(text)?;
    let mut got = BTreeSet::new();
    while let Some(claim) = claim(&ledger, &mut owner, &as_, 1)?.pop() {
        got.insert(claim.place);
    }
    if got == open { Ok(()) } else { Err(format!("{open:?} wait, {got:?} could be claimed")) }
}

/// Workers beside whoever else there is.
pub fn schedule(site: &Site, workers: usize, others: Vec<Body>) -> Outcome {
    site.begin();
    let told = Arc::new(Mutex::new(Told::default()));
    let mut bodies: Vec<Body> = (0..workers).map(|k| working(site, k, &told)).collect();
    bodies.extend(others);
    World::run(bodies)?;
    settled(site, &told)
}
