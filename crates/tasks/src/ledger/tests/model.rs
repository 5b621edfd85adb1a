//! A model of a ledger as plain lists.

use crate::ledger::{Reason, TaskState};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) state: TaskState,
    pub(super) attempts: u16,
    pub(super) fence: u64,
    /// Number of its latest owner.
    pub(super) owner: Option<usize>,
    pub(super) reason: Reason,
    pub(super) empty: bool,
    pub(super) since: u64,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) slots: Vec<Slot>,
    pub(super) align: u64,
    pub(super) max_attempts: u16,
    /// For each owner, whether it may claim.
    pub(super) owners: Vec<bool>,
}

impl Model {
    /// Names in the order of the list. Heavier ones come first.
    pub(super) fn new(names: Vec<String>, weights: Option<&[f64]>, align: u64, max_attempts: u16) -> Self {
        let slot = |(k, name)| Slot {
            name,
            index: k as u32,
            state: TaskState::Waiting,
            attempts: 0,
            fence: 0,
            owner: None,
            reason: Reason::None,
            empty: false,
            since: 0,
        };
        let mut slots: Vec<Slot> = names.into_iter().enumerate().map(slot).collect();
        if let Some(weights) = weights {
            slots.sort_by(|a, b| weights[b.index as usize].total_cmp(&weights[a.index as usize]));
        }
        Self { slots, align, max_attempts, owners: Vec::new() }
    }

    fn claimable(&self, place: usize, delay: u64, now: u64) -> bool {
        let slot = &self.slots[place];
        slot.state == TaskState::Waiting && (slot.attempts == 0 || slot.since > now || now - slot.since >= delay)
    }

    /// The positions that a claim takes.
    pub(super) fn claim(&mut self, owner: usize, count: u64, delay: u64, now: u64) -> Vec<usize> {
        let all = self.slots.len();
        let Some(start) = (0..all).find(|&place| self.claimable(place, delay, now)) else { return Vec::new() };
        let mut end = all.min(start + count as usize);
        if end < all {
            let align = self.align as usize;
            end = (start + 1..=end).rev().find(|end| end % align == 0).unwrap_or(end);
        }
        let taken: Vec<usize> = (start..end).take_while(|&place| self.claimable(place, delay, now)).collect();
        for &place in &taken {
            let slot = &mut self.slots[place];
            (slot.state, slot.owner, slot.empty, slot.since) = (TaskState::Running, Some(owner), false, now);
            slot.fence += 1;
        }
        taken
    }

    pub(super) fn held(&mut self, place: usize, fence: u64) -> Option<&mut Slot> {
        Some(&mut self.slots[place]).filter(|slot| slot.state == TaskState::Running && slot.fence == fence)
    }

    pub(super) fn fail(&mut self, place: usize, reason: Reason, now: u64) {
        let slot = &mut self.slots[place];
        slot.attempts += 1;
        slot.state = if slot.attempts >= self.max_attempts { TaskState::Failed } else { TaskState::Waiting };
        slot.empty &= [Reason::OwnerDied, Reason::OwnerSilent].contains(&reason);
        (slot.reason, slot.since) = (reason, now);
    }

    /// Requeues the tasks of dead owners, and removes these owners.
    pub(super) fn lapse(&mut self, dead: impl Fn(usize) -> Option<Reason>, now: u64) -> Vec<usize> {
        let mut lapsed = Vec::new();
        for place in 0..self.slots.len() {
            let Slot { state: TaskState::Running, owner: Some(owner), .. } = self.slots[place] else { continue };
            if let Some(reason) = dead(owner) {
                self.fail(place, reason, now);
                lapsed.push(place);
            }
        }
        for owner in 0..self.owners.len() {
            self.owners[owner] &= dead(owner).is_none();
        }
        lapsed
    }

    pub(super) fn count(&self, state: TaskState) -> u64 {
        self.slots.iter().filter(|slot| slot.state == state).count() as u64
    }

    pub(super) fn find(&self, name: &str) -> Option<u64> {
        self.slots.iter().position(|slot| slot.name == name).map(|place| place as u64)
    }
}
