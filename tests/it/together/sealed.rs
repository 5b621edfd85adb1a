//! Structural changes whose process dies: at whichever call, the file holds the old or the new content.

use crate::common::content::{Content, content, difference};
use crate::common::stopping::Stopping;
use crate::common::support::Scratch;
use crate::store::changes::{CHANGES, Change, SUPERBLOCKS, acknowledged_rows_are_there, store_with_rows};
use h5part_base::record::log::{Found, HEADER, LogHeader, Progress};
use h5part_engine::store::{Recovery, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The state of a store's change log.
fn progress(log: &Path) -> Option<Progress> {
    let bytes = std::fs::read(log).ok()?;
    match LogHeader::decode(&bytes[..bytes.len().min(HEADER)]).expect("reads") {
        Found::Change(header) => Some(header.progress),
        Found::Nothing => None,
        Found::Damaged => panic!("the log is damaged"),
    }
}

/// A store in which changes are stopped, again and again from the same bytes.
struct Site {
    scratch: Scratch,
    file: PathBuf,
    log: PathBuf,
    template: Vec<u8>,
    old: Content,
    new: Content,
    change: Change,
    superblock: u8,
}

impl Site {
    fn new(change: Change, superblock: u8) -> Self {
        let scratch = Scratch::new();
        let file = scratch.path("a.h5");
        drop(store_with_rows(&file, superblock));
        let (template, old) = (std::fs::read(&file).expect("read"), content(&file).expect("opens"));
        let log = scratch.path("a.h5.part/change.log");
        let mut site = Self { scratch, file, log, template, old, new: Content::new(), change, superblock };
        change.1(&site.store()).expect("nothing stops it");
        site.new = content(&site.file).expect("opens");
        assert_ne!(site.new, site.old, "{}", site.name());
        site
    }

    fn name(&self) -> String {
        format!("{} with superblock {}", self.change.0, self.superblock)
    }

    fn store(&self) -> Store {
        Store::open(&self.file).expect("opens")
    }

    /// Restores the original bytes in the same inode, as if nothing had happened.
    fn rewind(&self) {
        std::fs::write(&self.file, &self.template).expect("write");
        std::fs::remove_dir_all(self.scratch.path("a.h5.part")).expect("remove");
    }

    /// Stops the change at a call. `None` if it was over before.
    fn stopped_at(&self, call: u64, torn: bool) -> Option<()> {
        self.rewind();
        let stopping = Stopping::at(call, torn);
        let outcome = self.change.1(&self.store().with_storage(Arc::new(stopping.clone())));
        if stopping.calls() <= call {
            outcome.expect("nothing stopped it");
            return None;
        }
        outcome.expect_err("it was stopped");
        Some(())
    }

    fn holds(&self, expected: &Content, why: &str) {
        let now = content(&self.file).unwrap_or_else(|e| panic!("{why}: does not open: {e}"));
        let name = self.name();
        assert!(now == *expected, "{name}, {why}: differs in {:?}", difference(&now, expected));
    }

    /// The content that must be there in the end, for a log in this state.
    fn expected(&self, found: Option<Progress>, spent: bool) -> &Content {
        match found {
            Some(Progress::Begun) => &self.old,
            Some(_) => &self.new,
            None if spent => &self.new,
            None => &self.old,
        }
    }
}

fn for_all(mut body: impl FnMut(&Site)) {
    for superblock in SUPERBLOCKS {
        for change in CHANGES {
            body(&Site::new(change, superblock));
        }
    }
}

/// Every change, each in a file of another version.
fn for_some(mut body: impl FnMut(&Site)) {
    for (change, superblock) in CHANGES.into_iter().zip(SUPERBLOCKS.into_iter().cycle()) {
        body(&Site::new(change, superblock));
    }
}

/// Without a sealed log the stock library reads the old content, with no step before. The next program finds the old
/// content or makes the new one.
#[test]
fn a_change_stopped_at_any_call_is_made_or_not_made() {
    for_all(|site| {
        let torn: &[bool] = if site.superblock == 2 { &[false, true] } else { &[site.superblock == 0] };
        for &torn in torn {
            let (mut unsealed, mut sealed) = (0, 0);
            for call in 0.. {
                let why = format!("stopped at call {call}, torn {torn}");
                if site.stopped_at(call, torn).is_none() {
                    break;
                }
                let found = progress(&site.log);
                let spent = found.is_none() && sealed > 0;
                if found == Some(Progress::Sealed) {
                    sealed += 1;
                } else {
                    unsealed += 1;
                    site.holds(site.expected(found, spent), &why);
                }
                let store = site.store();
                match call % 3 {
                    0 => drop(store.writer("t").expect("writer")),
                    1 => drop(store.reader("t").expect("reader")),
                    _ => {
                        let done = store.recover().expect("recover");
                        let seen = (done.changes_applied, done.changes_discarded, done.logs_aside);
                        let due = |state| u64::from(found == Some(state));
                        assert_eq!(seen, (due(Progress::Sealed), due(Progress::Begun), 0), "{}, {why}", site.name());
                    }
                }
                site.holds(site.expected(found, spent), &why);
                acknowledged_rows_are_there(&store, &why);
                // Recovering again finds nothing to do. A reader leaves an unsealed change alone.
                let bytes = std::fs::read(&site.file).expect("read");
                let again = store.recover().expect("recover");
                if call % 3 != 1 {
                    assert_eq!(again, Recovery::default(), "{}, {why}", site.name());
                    assert!(std::fs::read(&site.file).expect("read") == bytes, "{}, {why}", site.name());
                }
                assert!(std::fs::metadata(&site.log).map_or(0, |m| m.len()) == 0, "{}, {why}", site.name());
            }
            assert!(unsealed > 2 && sealed > 2, "{}: {unsealed} and {sealed}", site.name());
        }
    });
}

/// The length, too, is that of before.
#[test]
fn a_change_that_was_not_sealed_leaves_the_bytes_of_before() {
    for_all(|site| {
        for call in 0.. {
            if site.stopped_at(call, true).is_none() || progress(&site.log) == Some(Progress::Sealed) {
                assert!(call > 2);
                break;
            }
            site.store().recover().expect("recover");
            assert!(std::fs::read(&site.file).expect("read") == site.template, "{}, call {call}", site.name());
        }
    });
}

#[test]
fn a_recovery_stopped_at_any_call_is_finished_by_the_next_one() {
    for_some(|site| {
        let mut stops = 0;
        for call in 0.. {
            if site.stopped_at(call, false).is_none() {
                break;
            }
            let found = progress(&site.log);
            if found.is_none() {
                continue;
            }
            let (file, log) = (std::fs::read(&site.file).expect("read"), std::fs::read(&site.log).expect("read"));
            for second in 0.. {
                std::fs::write(&site.file, &file).expect("write");
                std::fs::write(&site.log, &log).expect("write");
                let why = format!("stopped at call {call}, recovery at call {second}");
                let stopping = Stopping::at(second, second % 2 == 1);
                let outcome = site.store().with_storage(Arc::new(stopping.clone())).recover();
                if stopping.calls() <= second {
                    outcome.expect("nothing stopped it");
                    break;
                }
                stops += 1;
                outcome.expect_err("it was stopped");
                let done = site.store().recover().expect("recover");
                assert_eq!(done.logs_aside, 0, "{}, {why}", site.name());
                site.holds(site.expected(found, false), &why);
                acknowledged_rows_are_there(&site.store(), &why);
            }
        }
        assert!(stops > 5, "{}: only {stops} stops", site.name());
    });
}
