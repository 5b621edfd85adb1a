//! Sealed logs that do not fit: they are reported, set aside, and never applied.

use crate::common::content::content;
use crate::common::stopping::Stopping;
use crate::common::support::{Scratch, ok, run};
use crate::store::changes::{CHANGES, acknowledged_rows_are_there, store_with_rows};
use h5part::ErrorKind;
use h5part_base::record::log::{Found, HEADER, LogHeader, Progress, decode_table};
use h5part_engine::store::Store;
use std::path::PathBuf;
use std::sync::Arc;

/// A store with a sealed log waiting beside it. The file contains nothing of the change, except what was added at its
/// end.
struct Waiting {
    scratch: Scratch,
    store: Store,
    log: PathBuf,
    header: LogHeader,
}

impl Waiting {
    fn new() -> Self {
        let change = CHANGES[0].1;
        for call in 0.. {
            let scratch = Scratch::new();
            let store = store_with_rows(&scratch.path("a.h5"), 2);
            change(&store.clone().with_storage(Arc::new(Stopping::at(call, false)))).expect_err("it was stopped");
            let log = scratch.path("a.h5.part/change.log");
            let bytes = std::fs::read(&log).unwrap_or_default();
            if let Found::Change(header) = LogHeader::decode(&bytes[..bytes.len().min(HEADER)]).expect("reads")
                && header.progress == Progress::Sealed
            {
                return Self { scratch, store, log, header };
            }
        }
        unreachable!("a change is sealed at some call")
    }

    fn file(&self) -> String {
        self.scratch.text("a.h5")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.store.path()).expect("read")
    }

    /// The next command reports the log, sets it aside unchanged, applies nothing, and then works.
    fn is_told_and_kept(&self, why: &str) {
        let (file, values) = (self.file(), self.scratch.npy("e.npy", &[1], &[4.5]));
        let (before, log) = (self.bytes(), std::fs::read(&self.log).expect("read"));
        let update = ["update", &file, "t", "--rows", "9", "--set", &format!("E={values}")];
        let (code, _, err) = run(&update);
        assert_eq!(code, 9, "{err}");
        assert!(err.contains(why) && err.contains("change-aside-1.log"), "{err}");
        assert!(self.bytes() == before, "something was applied");
        let kept = self.scratch.path("a.h5.part/change-aside-1.log");
        assert!(std::fs::read(kept).expect("kept") == log, "kept as it was");
        assert!(!self.log.exists());
        ok(&update);
        assert_eq!(ok(&["read", &file, "t", "E", "--rows", "9"]), "4.5\n");
        acknowledged_rows_are_there(&self.store, why);
        assert!(self.store.reader("a/more").is_err());
    }

    fn flip(&self, at: u64) {
        let mut bytes = std::fs::read(&self.log).expect("read");
        bytes[usize::try_from(at).expect("small")] ^= 0x10;
        std::fs::write(&self.log, bytes).expect("write");
    }
}

#[test]
fn a_damaged_heap() {
    let waiting = Waiting::new();
    for at in [HEADER as u64, waiting.header.table_at - 1] {
        let waiting = Waiting::new();
        waiting.flip(at);
        waiting.is_told_and_kept("is damaged");
    }
}

#[test]
fn a_damaged_table() {
    let LogHeader { table_at, table_len, .. } = Waiting::new().header;
    for at in [table_at, table_at + 16, table_at + table_len - 1] {
        let waiting = Waiting::new();
        waiting.flip(at);
        waiting.is_told_and_kept("is damaged");
    }
}

#[test]
fn a_damaged_header() {
    for at in [0, 8, 56, 100, 300] {
        let waiting = Waiting::new();
        waiting.flip(at);
        waiting.is_told_and_kept("is damaged");
    }
}

#[test]
fn a_cut_log() {
    let waiting = Waiting::new();
    let log = std::fs::OpenOptions::new().write(true).open(&waiting.log).expect("open");
    log.set_len(waiting.header.table_at + 3).expect("cut");
    waiting.is_told_and_kept("is damaged");
}

#[test]
fn a_log_of_a_newer_version_is_refused_and_nothing_is_touched() {
    let waiting = Waiting::new();
    let file = waiting.file();
    let mut log = std::fs::read(&waiting.log).expect("read");
    log[7] += 1;
    std::fs::write(&waiting.log, &log).expect("write");
    let (before, values) = (waiting.bytes(), waiting.scratch.npy("e.npy", &[1], &[4.5]));
    let set = format!("E={values}");
    for command in [
        &["recover", &file][..],
        &["update", &file, "t", "--rows", "9", "--set", &set],
        &["read", &file, "t", "E", "--rows", "9"],
        &["extend", &file, "t", "--rows", "99"],
        &["status", &file, "t"],
        &["info", &file],
    ] {
        let (code, _, err) = run(command);
        assert!(code == 5 && err.contains("newer"), "{command:?}: {code} {err}");
        assert!(waiting.bytes() == before && std::fs::read(&waiting.log).expect("read") == log, "{command:?}");
    }
}

#[test]
fn a_copy_of_file_and_sidecar_in_the_middle_of_a_change() {
    let waiting = Waiting::new();
    let (copy, sidecar) = (waiting.scratch.path("copy.h5"), waiting.scratch.path("copy.h5.part"));
    std::fs::copy(waiting.store.path(), &copy).expect("copy");
    std::fs::create_dir(&sidecar).expect("folder");
    std::fs::copy(&waiting.log, sidecar.join("change.log")).expect("copy");
    let old = content(&copy).expect("opens");
    let store = Store::open(&copy).expect("opens");
    let error = store.writer("t").expect_err("told");
    assert!(matches!(error.kind(), ErrorKind::LogAside { .. }), "{error}");
    assert!(error.to_string().contains("another file"), "{error}");
    acknowledged_rows_are_there(&store, "the copy");
    assert_eq!(content(&copy).expect("opens"), old);
    // The original makes its change.
    assert_eq!(waiting.store.recover().expect("recover").changes_applied, 1);
    assert!(waiting.store.reader("a/more").is_ok());
}

/// The program cuts off what was added beyond the end that it knows.
#[test]
fn a_stock_program_that_opened_and_closed_the_file() {
    let waiting = Waiting::new();
    let before = waiting.bytes().len();
    drop(hdf5::File::open_rw(waiting.store.path()).expect("opens"));
    assert!(waiting.bytes().len() < before, "it cut the tail off");
    waiting.is_told_and_kept("does not fit the file");
}

#[test]
fn a_foreign_byte_in_any_range_of_the_log() {
    let ranges = |waiting: &Waiting| {
        let log = std::fs::read(&waiting.log).expect("read");
        let LogHeader { table_at, table_len, .. } = waiting.header;
        let from = usize::try_from(table_at).expect("small");
        decode_table(&waiting.header, &log[from..from + usize::try_from(table_len).expect("small")]).expect("sound")
    };
    let count = ranges(&Waiting::new()).len();
    assert!(count > 2, "only {count} ranges");
    for k in 0..count {
        let waiting = Waiting::new();
        let ranges = ranges(&waiting);
        let Some(range) = ranges.get(k) else { continue };
        // The last byte: only the checksum of the superblock itself may differ.
        let at = range.address + range.len - 1;
        let file = std::fs::OpenOptions::new().read(true).write(true).open(waiting.store.path()).expect("open");
        let mut byte = [0];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, at).expect("read");
        std::os::unix::fs::FileExt::write_all_at(&file, &[byte[0] ^ 0x55], at).expect("write");
        let before = waiting.bytes();
        let error = waiting.store.writer("t").expect_err("told");
        assert!(matches!(error.kind(), ErrorKind::LogAside { why, .. } if why.contains("does not fit")), "{error}");
        assert!(waiting.bytes() == before, "range {k}");
    }
}

#[test]
fn recovery_says_what_it_did() {
    let counts = |file: &str, code: i32| {
        let (found, out, err) = run(&["recover", file, "--json"]);
        assert_eq!(found, code, "{err}");
        let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        ["changes_applied", "changes_discarded", "logs_aside"].map(|key| json[key].as_u64().expect("a number"))
    };
    let waiting = Waiting::new();
    assert_eq!(counts(&waiting.file(), 0), [1, 0, 0]);
    assert_eq!(counts(&waiting.file(), 0), [0, 0, 0]);
    let waiting = Waiting::new();
    waiting.flip(HEADER as u64);
    assert_eq!(counts(&waiting.file(), 1), [0, 0, 1]);
    assert_eq!(counts(&waiting.file(), 0), [0, 0, 0]);
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    CHANGES[0].1(&store.clone().with_storage(Arc::new(Stopping::at(5, false)))).expect_err("it was stopped");
    assert_eq!(counts(&scratch.text("a.h5"), 0), [0, 1, 0]);
    // A second log that is set aside does not replace the first one.
    let waiting = Waiting::new();
    let first = waiting.scratch.path("a.h5.part/change-aside-1.log");
    std::fs::write(&first, b"kept").expect("write");
    waiting.flip(HEADER as u64);
    assert_eq!(counts(&waiting.file(), 1), [0, 0, 1]);
    assert_eq!(std::fs::read(&first).expect("read"), b"kept");
    assert!(waiting.scratch.path("a.h5.part/change-aside-2.log").exists());
}
