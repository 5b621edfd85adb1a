//! Every disk that a loss of power may leave behind.
//!
//! What was written since the last sync of its file is there or not, independently: each sector of 512 bytes, each new
//! length, each change of names that no sync of the folder made durable. Writes to one sector arrive in order.

use super::image::{Image, Named};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A unit arrives as a whole or not at all.
#[derive(Clone, Debug)]
pub enum Unit {
    Bytes { file: u64, address: usize, bytes: Arc<[u8]> },
    Len { file: u64, len: usize },
    Names(Arc<Named>),
}

/// Units of one slot arrive in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    Sector(u64, u64),
    Len(u64),
    Names(usize),
}

/// An instant at which the power may fail.
pub struct Point {
    pub(super) durable: Arc<Image>,
    /// Each with the number of its slot and its rank there, from 1.
    pub(super) units: Vec<(Unit, usize, u8)>,
    /// Number of units of each slot.
    pub(super) tops: Vec<u8>,
    /// The slot of the newest unit. Without that unit the disk belongs to an earlier point.
    pub(super) fresh: Option<usize>,
    /// What had been acknowledged.
    pub acknowledged: u64,
    /// Number of the call after which it is.
    pub(super) call: usize,
    /// Which states, if not all.
    pub(super) sample: Option<u64>,
}

/// One disk: how many units of each slot arrived.
pub struct State<'a> {
    point: &'a Point,
    levels: Vec<u8>,
}

/// How many states to take of a point that has too many, and which.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    pub states: u64,
    pub seed: u64,
    /// Points with more states than this are sampled.
    pub exhaustive: u64,
}

impl Sampling {
    /// This many, unless the environment says otherwise. A point of at most 14 units is visited in full.
    pub fn of(states: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
        let seed = number("H5PART_CRASH_SEED").unwrap_or(1);
        Self { states: number("H5PART_CRASH_STATES").unwrap_or(states), seed, exhaustive: 1 << 14 }
    }

    /// For states that cost a visit of the library: a point of at most 9 units is visited in full, larger ones if the
    /// environment asks for more.
    pub fn of_slow(states: u64) -> Self {
        let all = Self::of(states);
        Self { exhaustive: all.states.max(1 << 9), ..all }
    }
}

impl Point {
    /// Number of states that belong to no earlier point.
    pub(super) fn all(&self) -> u64 {
        let free = self.tops.iter().enumerate().filter(|(slot, _)| Some(*slot) != self.fresh);
        free.fold(1, |n: u64, (_, top)| n.saturating_mul(u64::from(*top) + 1))
    }

    /// Number of states to take.
    pub fn count(&self, sampling: Sampling) -> u64 {
        if self.sample.is_some() { sampling.states } else { self.all() }
    }

    pub fn state(&self, number: u64) -> State<'_> {
        let mut levels = self.sample.map_or_else(|| self.counted(number), |seed| self.drawn(seed, number));
        if let Some(fresh) = self.fresh {
            levels[fresh] = self.tops[fresh];
        }
        State { point: self, levels }
    }

    fn counted(&self, mut number: u64) -> Vec<u8> {
        let level = |(slot, top): (usize, &u8)| {
            let base = if Some(slot) == self.fresh { 1 } else { u64::from(*top) + 1 };
            let level = number % base;
            number /= base;
            u8::try_from(level).expect("small")
        };
        self.tops.iter().enumerate().map(level).collect()
    }

    /// Half of the states differ from the others in one slot only; these find most faults.
    fn drawn(&self, seed: u64, number: u64) -> Vec<u8> {
        let mut random = Random::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ number);
        let lone = index(random.next() % self.tops.len() as u64);
        let level = |(slot, top): (usize, &u8)| match number % 4 {
            _ if number < 2 => top * u8::from(number == 1),
            0 => top * u8::from(slot == lone),
            1 => top * u8::from(slot != lone),
            _ => u8::try_from(random.next() % (u64::from(*top) + 1)).expect("small"),
        };
        self.tops.iter().enumerate().map(level).collect()
    }
}

impl fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in call {}, acknowledged {:b}; arrived:", self.point.call, self.point.acknowledged)?;
        for (unit, slot, rank) in &self.point.units {
            write!(f, " {}", if self.levels[*slot] >= *rank { "" } else { "not " })?;
            match unit {
                Unit::Bytes { file, address, bytes } => write!(f, "{} bytes at {address} of {file},", bytes.len())?,
                Unit::Len { file, len } => write!(f, "length {len} of {file},")?,
                Unit::Names(named) => write!(f, "{named:?},")?,
            }
        }
        Ok(())
    }
}

impl State<'_> {
    fn arrived(&self) -> impl Iterator<Item = &Unit> {
        let arrived = |(_, slot, rank): &&(Unit, usize, u8)| self.levels[*slot] >= *rank;
        self.point.units.iter().filter(arrived).map(|(unit, ..)| unit)
    }

    /// Writes the bytes of one file in this state to `out`.
    pub fn bytes_of(&self, file: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.point.durable.files.get(&file).map_or(&[][..], Vec::as_slice));
        let mut len = out.len();
        for unit in self.arrived() {
            match unit {
                Unit::Bytes { file: f, address, bytes } if *f == file => {
                    out.resize(out.len().max(address + bytes.len()), 0);
                    out[*address..address + bytes.len()].copy_from_slice(bytes);
                }
                Unit::Len { file: f, len: l } if *f == file => {
                    out.truncate(*l);
                    len = *l;
                }
                _ => {}
            }
        }
        out.resize(len, 0);
    }

    pub fn names(&self) -> BTreeMap<PathBuf, u64> {
        let mut image = Image { names: self.point.durable.names.clone(), ..Image::default() };
        self.arrived().filter(|unit| matches!(unit, Unit::Names(_))).for_each(|unit| unit.apply(&mut image));
        image.names
    }

    pub fn has(&self, name: &Path) -> bool {
        let named = self.point.units.iter().any(|(unit, ..)| matches!(unit, Unit::Names(_)));
        if named {
            super::image::number(&self.names(), name).is_some()
        } else {
            self.point.durable.number(name).is_some()
        }
    }

    pub fn image(&self) -> Image {
        let mut image = Image { names: self.names(), ..Image::default() };
        let files: Vec<u64> = image.reachable().map(|(_, file)| file).collect();
        for file in files {
            self.bytes_of(file, image.files.entry(file).or_default());
        }
        image
    }

    /// A seed that depends only on the state, not on the thread.
    pub fn seed(&self) -> u64 {
        self.levels
            .iter()
            .fold(self.point.call as u64, |seed, level| seed.wrapping_mul(31).wrapping_add((*level).into()))
    }

    pub fn acknowledged(&self) -> u64 {
        self.point.acknowledged
    }
}

impl Unit {
    /// Applies the unit to a file that has all earlier units.
    pub(super) fn apply(&self, image: &mut Image) {
        match self {
            Self::Bytes { file, address, bytes } => {
                image.files.entry(*file).or_default()[*address..address + bytes.len()].copy_from_slice(bytes);
            }
            Self::Len { file, len } => image.files.entry(*file).or_default().resize(*len, 0),
            Self::Names(named) => {
                for (name, file) in named.iter() {
                    match file {
                        Some(file) => image.names.insert(name.clone(), *file),
                        None => image.names.remove(name),
                    };
                }
            }
        }
    }
}

pub(super) fn index(n: u64) -> usize {
    usize::try_from(n).expect("small")
}

/// A small generator: xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }
}
