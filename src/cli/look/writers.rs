//! Who writes to a file, and what: from row locks and counters that the kernel keeps anyway, so that writers do nothing
//! for it.

use super::super::output::bytes;
use super::rates::Rates;
use h5part::Result;
use h5part_base::lock::{Holder, host};
use h5part_engine::store::Store;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

/// A process that has a writer open.
#[derive(Clone, Debug)]
pub struct WriterLook {
    pub holder: Holder,
    /// The rows that it was last seen to have locked: path of the table, and rows.
    pub rows: Option<(String, Range<u64>)>,
    /// Writes and bytes per second, of all that the process writes; `None`: not known, or not yet.
    pub pace: Option<(f64, f64)>,
}

/// Looks at all writers. `before`: what was seen last; `tables`: their paths by number.
pub fn look(
    store: &Store,
    tables: &HashMap<u64, String>,
    before: &[WriterLook],
    rates: &mut Rates,
    now: Instant,
) -> Result<Vec<WriterLook>> {
    let here = host();
    let mut writers = Vec::new();
    for holder in store.locks()?.writers {
        let (mut rows, mut pace) = (None, None);
        if holder.host == here {
            let mut held = store.rows_held(holder.pid).into_iter();
            rows = held.find_map(|(table, rows)| Some((tables.get(&table)?.clone(), rows)));
            let counters = counters(holder.pid);
            pace = counters.and_then(|(writes, bytes)| {
                rates.see(&key("writes", holder.pid), writes, now);
                rates.see(&key("bytes", holder.pid), bytes, now);
                Some((rates.of(&key("writes", holder.pid))?, rates.of(&key("bytes", holder.pid))?))
            });
        }
        let last = before.iter().find(|last| (last.holder.pid, &last.holder.host) == (holder.pid, &holder.host));
        let rows = rows.or_else(|| last.and_then(|last| last.rows.clone()));
        writers.push(WriterLook { holder, rows, pace });
    }
    let has_gone = |last: &&WriterLook| writers.iter().all(|writer| writer.holder.pid != last.holder.pid);
    for last in before.iter().filter(has_gone) {
        rates.forget(&key("writes", last.holder.pid));
        rates.forget(&key("bytes", last.holder.pid));
    }
    Ok(writers)
}

fn key(what: &str, pid: i32) -> String {
    format!("{what} of {pid}")
}

/// Write calls of a process, and bytes that it has given them, since it was started.
fn counters(pid: i32) -> Option<(u64, u64)> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

/// From lines such as `syscw: 12`.
fn parse(io: &str) -> Option<(u64, u64)> {
    let of = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((of("syscw:")?, of("wchar:")?))
}

impl WriterLook {
    /// `frames 120:130`: the rows that it was last seen to write.
    pub fn at(&self) -> Option<String> {
        let (table, rows) = self.rows.as_ref()?;
        Some(format!("{table} {}:{}", rows.start, rows.end))
    }

    /// `310.0 writes/s, 2.4 MB/s`
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for display")]
    pub fn pace(&self) -> Option<String> {
        let (writes, each) = self.pace?;
        Some(format!("{writes:.1} writes/s, {}/s", bytes(each as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_those_of_the_kernel() {
        let io = "rchar: 9\nwchar: 4096\nsyscr: 1\nsyscw: 12\nread_bytes: 0\nwrite_bytes: 0\n";
        assert_eq!(parse(io), Some((12, 4096)));
        assert_eq!(parse("wchar: 1\n"), None);
        assert!(counters(i32::try_from(std::process::id()).expect("pid")).is_some());
        assert_eq!(counters(i32::MAX - 5), None);
    }
}
