//! What was done, and which states of a row that explains.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// E, F, status: the value that is there, of the commit with this number.
pub type State = [Option<u64>; 3];

/// A commit as its caller sees it.
#[derive(Clone, Debug)]
pub struct Act {
    /// Its value in all cells; no two have the same.
    pub value: u64,
    pub rows: std::ops::Range<u64>,
    /// Which columns it sets.
    pub sets: [bool; 3],
    /// Which columns are not there while it is under way.
    pub hides: [bool; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Acknowledged,
    /// Nothing was written.
    Refused,
    /// Its rows may be old, new, or not there until they are put back.
    Died,
}

#[derive(Clone, Debug)]
struct Done {
    act: Act,
    begun: u64,
    end: Option<(u64, End)>,
}

/// All acts of a schedule, in the order of their beginnings.
#[derive(Debug, Default)]
pub struct History {
    clock: AtomicU64,
    acts: Mutex<Vec<Done>>,
    /// What the rows hold before.
    first: Vec<State>,
    /// A row in which another program has changed E, which nobody replaces then.
    pub foreign: Option<u64>,
}

/// The time in which something was seen.
#[derive(Clone, Copy, Debug)]
pub struct Span(u64, u64);

impl History {
    pub fn new(first: Vec<State>) -> Self {
        Self { first, ..Self::default() }
    }

    pub fn first_of(&mut self, row: u64) -> &mut State {
        &mut self.first[usize::try_from(row).expect("small")]
    }

    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// From then until now.
    pub fn since(&self, start: u64) -> Span {
        Span(start, self.now())
    }

    /// Its number.
    pub fn begin(&self, act: &Act) -> usize {
        let mut acts = self.acts.lock().expect("lock");
        acts.push(Done { act: act.clone(), begun: self.now(), end: None });
        acts.len() - 1
    }

    pub fn end(&self, number: usize, end: End) {
        self.acts.lock().expect("lock")[number].end = Some((self.now(), end));
    }

    /// Whether a row may look so in `span`. `settled`: nothing is under way, and all was put back.
    pub fn explains(&self, row: u64, seen: State, span: Span, settled: bool) -> bool {
        let acts = self.acts.lock().expect("lock");
        let of_row = |done: &&Done| {
            done.act.rows.contains(&row) && done.begun < span.1 && !matches!(done.end, Some((_, End::Refused)))
        };
        let acts: Vec<&Done> = acts.iter().filter(of_row).collect();
        let first = self.first[usize::try_from(row).expect("small")];
        explains(&acts, &mut Vec::new(), first, seen, span, settled)
    }
}

/// Tries all orders in which acts may have been made.
fn explains(acts: &[&Done], made: &mut Vec<usize>, state: State, seen: State, span: Span, settled: bool) -> bool {
    let must = |done: &Done| matches!(done.end, Some((at, End::Acknowledged)) if at < span.0);
    let all = acts.iter().enumerate().all(|(k, done)| made.contains(&k) || !must(done));
    if all && (seen == state || (!settled && is_hidden(acts, made, state, seen, span))) {
        return true;
    }
    for k in 0..acts.len() {
        // One that had ended before this one began comes before it.
        let before = |&j: &usize| matches!(acts[j].end, Some((at, _)) if at < acts[k].begun);
        let late = made.iter().any(|&j| matches!(acts[k].end, Some((at, _)) if at < acts[j].begun));
        let skipped = (0..acts.len())
            .filter(before)
            .any(|j| !made.contains(&j) && matches!(acts[j].end, Some((_, End::Acknowledged))));
        if made.contains(&k) || late || skipped {
            continue;
        }
        let mut next = state;
        for (column, value) in next.iter_mut().enumerate() {
            if acts[k].act.sets[column] {
                *value = Some(acts[k].act.value);
            }
        }
        made.push(k);
        let explained = explains(acts, made, next, seen, span, settled);
        made.pop();
        if explained {
            return true;
        }
    }
    false
}

/// Whether columns are as in `state`, but for those of acts under way.
fn is_hidden(acts: &[&Done], made: &[usize], state: State, seen: State, span: Span) -> bool {
    let under_way = |k: &usize| match acts[*k].end {
        None => true,
        Some((at, end)) => at > span.0 || end == End::Died,
    };
    let hidden: Vec<usize> = (0..acts.len()).filter(under_way).collect();
    (0..1u32 << hidden.len()).any(|choice| {
        let chosen: Vec<usize> =
            hidden.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1).map(|(_, &k)| k).collect();
        (0..state.len()).all(|column| {
            let hides = |&&k: &&usize| acts[k].act.hides[column];
            // Where another act has set the column beside it or later, its value may be there already.
            let set_anew = |&k: &usize| {
                made.iter().any(|&j| {
                    let before = matches!(acts[j].end, Some((at, _)) if at < acts[k].begun);
                    j != k && acts[j].act.sets[column] && !before
                })
            };
            let hiding: Vec<usize> = chosen.iter().filter(hides).copied().collect();
            match seen[column] {
                None if !hiding.is_empty() => true,
                there => there == state[column] && hiding.iter().all(set_anew),
            }
        })
    })
}
