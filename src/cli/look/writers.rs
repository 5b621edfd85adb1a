//! Who writes to a file, and what: from row locks, the counts of commits that writers note, and the bytes that the kernel
//! counts anyway.

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
    /// Commits per second, of all writers of the process; `None`: there was only one look.
    pub commits: Option<f64>,
    /// Bytes per second, of all that the process writes; `None`: it runs on another host, or there was only one look.
    pub bytes: Option<f64>,
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
    let holders = store.locks()?.writers;
    let mut commits: HashMap<String, u64> = HashMap::new();
    for holder in &holders {
        *commits.entry(key("commits", holder)).or_default() += holder.commits.unwrap_or(0);
    }
    for (key, count) in &commits {
        rates.see(key, *count, now);
    }
    let mut writers: Vec<WriterLook> = Vec::new();
    for holder in holders {
        let (mut rows, mut bytes) = (None, None);
        if holder.host == here {
            let mut held = store.rows_held(holder.pid).into_iter();
            rows = held.find_map(|(table, rows)| Some((tables.get(&table)?.clone(), rows)));
            if let Some(count) = bytes_written(holder.pid) {
                rates.see(&key("bytes", &holder), count, now);
                bytes = rates.of(&key("bytes", &holder));
            }
        }
        let last = before.iter().find(|last| (last.holder.pid, &last.holder.host) == (holder.pid, &holder.host));
        let rows = rows.or_else(|| last.and_then(|last| last.rows.clone()));
        let commits = rates.of(&key("commits", &holder));
        writers.push(WriterLook { holder, rows, commits, bytes });
    }
    let has_gone = |last: &&WriterLook| !commits.contains_key(&key("commits", &last.holder));
    for last in before.iter().filter(has_gone) {
        rates.forget(&key("commits", &last.holder));
        rates.forget(&key("bytes", &last.holder));
    }
    Ok(writers)
}

fn key(what: &str, holder: &Holder) -> String {
    format!("{what} of {} on {}", holder.pid, holder.host)
}

/// Bytes that a process has given to write calls since it was started.
fn bytes_written(pid: i32) -> Option<u64> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

/// From a line such as `wchar: 12`.
fn parse(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("wchar:")?.trim().parse().ok())
}

impl WriterLook {
    /// `frames 120:130`: the rows that it was last seen to write.
    pub fn at(&self) -> Option<String> {
        let (table, rows) = self.rows.as_ref()?;
        Some(format!("{table} {}:{}", rows.start, rows.end))
    }

    /// `310.0 commits/s, 2.4 MB/s`
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for display")]
    pub fn pace(&self) -> Option<String> {
        let commits = format!("{:.1} commits/s", self.commits?);
        Some(match self.bytes {
            Some(each) => format!("{commits}, {}/s", bytes(each as u64)),
            None => commits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_that_the_kernel_counts() {
        let io = "rchar: 9\nwchar: 4096\nsyscr: 1\nsyscw: 12\nread_bytes: 0\nwrite_bytes: 0\n";
        assert_eq!(parse(io), Some(4096));
        assert_eq!(parse("rchar: 1\n"), None);
        assert!(bytes_written(i32::try_from(std::process::id()).expect("pid")).is_some());
    }
}
