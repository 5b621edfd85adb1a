//! Loss of power in a change of structure: the change is made as a whole or not at all.

use super::image::{Barrier, Image, Op, Recording};
use super::memory::Memory;
use super::states::{Sampling, State};
use super::visit::{Visited, visit};
use crate::common::content::{Content, content, difference};
use crate::common::support::Scratch;
use crate::store::changes::store_with_rows;
use h5part_engine::store::{Recovery, Store};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A step of a change; it is acknowledged when it returns.
pub type Step<'a> = &'a dyn Fn(&Store) -> h5part::Result<()>;

/// A recorded change, with what a stock HDF5 library sees before and after.
#[derive(Debug)]
pub struct Changed {
    pub recording: Recording,
    /// In the order of acknowledgements, one bit each; the first is the original content.
    contents: Vec<Content>,
    /// Files that the library has read already, with the index of their content.
    known: Mutex<Vec<(Vec<u8>, usize)>>,
}

/// A disk in memory, on which each state is put.
pub struct Bench {
    scratch: Scratch,
    memory: Memory,
    store: Store,
}

/// What a stock HDF5 library sees.
fn content_of(bytes: &[u8], scratch: &Scratch) -> Result<Content, String> {
    let path = scratch.path("seen.h5");
    std::fs::write(&path, bytes).expect("write");
    content(&path).map_err(|e| e.to_string())
}

impl Changed {
    /// Runs steps on [`store_with_rows`].
    pub fn of(superblock: u8, steps: &[Step<'_>]) -> Self {
        Self::upon(&|path| store_with_rows(path, superblock), steps)
    }

    /// Runs steps on any store.
    pub fn upon(make: &dyn Fn(&Path) -> Store, steps: &[Step<'_>]) -> Self {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        let store = make(&path);
        // As if nobody had changed the structure yet: the steps create the log, too.
        let _ = std::fs::remove_file(scratch.path("a.h5.part/change.log"));
        let memory = Memory::taken_from(path.parent().expect("folder"));
        let store = store.with_storage(Arc::new(memory.clone()));
        memory.record();
        let mut contents = vec![content_of(memory.image().bytes("a.h5"), &scratch).expect("opens")];
        for (k, step) in steps.iter().enumerate() {
            step(&store).expect("nothing stops it");
            memory.acknowledge(1 << k);
            contents.push(content_of(memory.image().bytes("a.h5"), &scratch).expect("opens"));
        }
        let mut recording = memory.recorded();
        // Commits through the library write no record.
        recording.log.retain(|op| !matches!(op, Op::Names(named) if named[0].0.to_string_lossy().ends_with(".writer")));
        Self { recording, contents, known: Mutex::default() }
    }

    /// The same change, as if this one call had done nothing.
    pub fn without(self, barrier: Barrier) -> Self {
        Self { recording: self.recording.without(barrier), ..self }
    }

    pub fn crashed(&self, sampled: u64) -> Visited {
        visit(&self.recording, Sampling::of_slow(sampled), Bench::new, |bench, state| self.check(bench, state))
    }

    /// Recovers a state and checks it.
    pub fn check(&self, bench: &Bench, state: &State<'_>) -> Result<(), String> {
        bench.memory.put(&state.image());
        self.recovered(bench, state.acknowledged())
    }

    fn recovered(&self, bench: &Bench, acknowledged: u64) -> Result<(), String> {
        let found = bench.store.recover().map_err(|e| e.to_string())?;
        self.was_recovered(bench, &found, acknowledged)
    }

    fn was_recovered(&self, bench: &Bench, found: &Recovery, acknowledged: u64) -> Result<(), String> {
        if found.logs_aside > 0 || found.without_record > 0 || found.foreign > 0 {
            return Err(format!("{found:?}"));
        }
        let after = bench.memory.image();
        let which = self.which(bench, &after)?;
        // Steps are acknowledged in order.
        let least = usize::try_from(acknowledged.count_ones()).expect("small");
        if which < least { Err(format!("content {which} after step {least} was acknowledged")) } else { Ok(()) }
    }

    /// Like `check`, and records the recovery.
    pub fn recorded_recovery(&self, bench: &Bench, state: &State<'_>, acknowledged: u64) -> Result<Recording, String> {
        bench.memory.put(&state.image());
        bench.memory.record();
        let outcome = bench.store.recover();
        let recording = bench.memory.recorded();
        self.was_recovered(bench, &outcome.map_err(|e| e.to_string())?, acknowledged)?;
        Ok(recording)
    }

    /// Which of the contents the file has. An unknown file is recovered once more.
    fn which(&self, bench: &Bench, image: &Image) -> Result<usize, String> {
        let bytes = image.bytes("a.h5");
        let mut known = self.known.lock().expect("lock");
        if let Some((_, which)) = known.iter().find(|(known, _)| known == bytes) {
            return if image.bytes("a.h5.part/change.log").is_empty() {
                Ok(*which)
            } else {
                Err("the log is still there".to_owned())
            };
        }
        let seen = content_of(bytes, &bench.scratch)?;
        let which = self.contents.iter().rposition(|content| *content == seen).ok_or_else(|| {
            let differences: Vec<_> = self.contents.iter().map(|content| difference(content, &seen)).collect();
            format!("neither old nor new: {differences:?}")
        })?;
        let again = bench.store.recover().map_err(|e| e.to_string())?;
        if again != Recovery::default() || bench.memory.image() != *image {
            return Err(format!("recovering twice is not recovering once: {again:?}"));
        }
        known.push((bytes.to_vec(), which));
        Ok(which)
    }
}

impl Bench {
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        std::fs::write(&path, b"a placeholder").expect("write");
        let memory = Memory::new(path.parent().expect("folder"));
        let store = Store::open(&path).expect("opens").with_storage(Arc::new(memory.clone()));
        Self { scratch, memory, store }
    }
}
