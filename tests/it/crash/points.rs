//! The instants of a recording at which the power may fail.

use super::image::{Image, Op, Recording};
use super::states::{Point, Sampling, Slot, Unit, index};
use std::collections::BTreeMap;
use std::sync::Arc;

const SECTOR: u64 = 512;

/// Goes along a recording.
struct Walk {
    durable: Arc<Image>,
    /// The disk as a living process sees it.
    live: Image,
    pending: Vec<(Slot, Unit)>,
    named: usize,
    acknowledged: u64,
    points: Vec<Point>,
    call: usize,
}

/// All distinct instants of a recording. The last one is its end, again with all states.
pub fn points(recording: &Recording, sampling: Sampling) -> Vec<Point> {
    let mut walk = Walk {
        durable: Arc::new(recording.start.clone()),
        live: recording.start.clone(),
        pending: Vec::new(),
        named: 0,
        acknowledged: 0,
        points: Vec::new(),
        call: 0,
    };
    walk.point(false);
    for (call, op) in recording.log.iter().enumerate() {
        walk.call = call;
        walk.step(op);
    }
    for (k, point) in walk.points.iter_mut().enumerate() {
        let seed = sampling.seed.wrapping_mul(1 << 20).wrapping_add(k as u64);
        point.sample = (point.all() > sampling.exhaustive).then_some(seed);
        point.sample = point.sample.filter(|_| point.all() > sampling.states);
    }
    walk.points
}

impl Walk {
    fn step(&mut self, op: &Op) {
        match op {
            Op::Write { file, address, bytes } => {
                let end = address + bytes.len() as u64;
                let len = self.live.files.entry(*file).or_default().len() as u64;
                if end > len {
                    self.set_len(*file, end);
                }
                let mut from = *address;
                while from < end {
                    let to = end.min(from - from % SECTOR + SECTOR);
                    self.write(*file, from, &bytes[index(from - address)..index(to - address)]);
                    from = to;
                }
            }
            Op::SetLen { file, len } => self.set_len(*file, *len),
            Op::Names(named) => {
                self.named += 1;
                self.unit(Slot::Names(self.named), Unit::Names(Arc::new(named.clone())));
            }
            Op::Sync { file } => {
                let of = |slot: &Slot| matches!(slot, Slot::Sector(f, _) | Slot::Len(f) if f == file);
                self.settle(|slot, _| of(slot));
            }
            Op::SyncFolder(folder) => self.settle(|_, unit| match unit {
                Unit::Names(named) => named.iter().all(|(name, _)| name.parent() == Some(folder)),
                _ => false,
            }),
            Op::Ack(bits) => {
                self.acknowledged |= bits;
                self.point(false);
            }
        }
    }

    fn write(&mut self, file: u64, address: u64, bytes: &[u8]) {
        let range = index(address)..index(address) + bytes.len();
        // Writing the same bytes does not change the disk.
        if self.live.files[&file][range.clone()] != *bytes {
            let unit = Unit::Bytes { file, address: range.start, bytes: Arc::from(bytes) };
            self.unit(Slot::Sector(file, address / SECTOR), unit);
        }
    }

    fn set_len(&mut self, file: u64, len: u64) {
        if self.live.files.entry(file).or_default().len() != index(len) {
            self.unit(Slot::Len(file), Unit::Len { file, len: index(len) });
        }
    }

    fn unit(&mut self, slot: Slot, unit: Unit) {
        unit.apply(&mut self.live);
        self.pending.push((slot, unit));
        self.point(true);
    }

    fn settle(&mut self, is: impl Fn(&Slot, &Unit) -> bool) {
        let mut durable = Image::clone(&self.durable);
        let (settled, pending) = std::mem::take(&mut self.pending).into_iter().partition(|(slot, unit)| is(slot, unit));
        let settled: Vec<(Slot, Unit)> = settled;
        for (_, unit) in &settled {
            unit.apply(&mut durable);
        }
        (self.pending, self.durable) = (pending, Arc::new(durable));
    }

    fn point(&mut self, fresh: bool) {
        let mut slots: BTreeMap<Slot, (usize, u8)> = BTreeMap::new();
        let mut units = Vec::with_capacity(self.pending.len());
        for (slot, unit) in &self.pending {
            let count = slots.len();
            let (number, rank) = slots.entry(*slot).or_insert((count, 0));
            *rank += 1;
            units.push((unit.clone(), *number, *rank));
        }
        let mut tops = vec![0; slots.len()];
        for (number, top) in slots.values() {
            tops[*number] = *top;
        }
        let fresh = units.last().map(|(_, slot, _)| *slot).filter(|_| fresh);
        let (durable, acknowledged) = (Arc::clone(&self.durable), self.acknowledged);
        self.points.push(Point { durable, units, tops, fresh, acknowledged, call: self.call, sample: None });
    }
}
