//! Saves computed values by Python's rules: a process only touches its own frames, and a completed frame is kept.

use super::ground_truth::GroundTruth;
use super::names::{Method, Quantity};
use super::select::check_frames;
use super::status::{FrameStatus, check_statuses};
use h5part_base::dataspace::{Column, Dtype, Rows};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::num::to_usize;
use h5part_engine::store::{Durability, Values, Writer, check_fit};
use std::collections::BTreeMap;

/// Saving fails if statuses change more than this many times while it works.
const TRIES: u32 = 1000;

/// The results for some frames: value `i` belongs to frame `i` of the selection.
#[derive(Clone, Debug)]
pub struct Results<'a> {
    /// Statuses: a single one for all frames, or one per frame.
    pub statuses: Vec<FrameStatus>,
    /// Energies, f64 (frames), in eV per atom.
    pub energies: Option<Values<'a>>,
    /// Forces, f64 (frames, atoms, 3), in eV/Å.
    pub forces: Option<Values<'a>>,
}

/// What happened to the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Saved {
    /// Frames whose values were written.
    pub completed: u64,
    /// Frames of which only the status was written, since they are not COMPLETED.
    pub marked: u64,
    /// Frames that were kept as they are: completed before, or UNDEFINED now.
    pub left: u64,
}

impl Saved {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            marked: self.marked + other.marked,
            left: self.left + other.left,
        }
    }
}

/// Saves results of one ground truth, batch by batch.
///
/// **Concurrency.** Any number may work at the same time, in any number of processes, beside Python processes that keep
/// the lock protocol. Savers of different frames do not wait for each other. A frame's status is checked under its
/// lock. So if two processes computed the same frame, the first one counts, and a corrected value is never reverted.
/// **Atomic**: each frame. For Python its status says UNDEFINED while its values are written. **Survives**: as a commit
/// of [`Writer`].
#[derive(Debug)]
pub struct Saver {
    writer: Writer,
    method: Method,
    quantities: Vec<Quantity>,
    overwrite: bool,
    truth: GroundTruth,
}

/// What to write of a frame. Quantities are given by their index in [`Quantity::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// Status and all given values. Quantities that are not given become NaN where marked: the file holds values of a
    /// calculation that counted as failed, which would now count as completed.
    Whole([bool; 2]),
    /// Only the status.
    Mark,
    /// The values that a completed frame lacks: these quantities.
    Fill([bool; 2]),
}

const COMPLETED: i64 = FrameStatus::Completed.number();

/// Quantities that are not given are read in portions of about this many bytes.
const PORTION_BYTES: u64 = 64 << 20;

impl GroundTruth {
    /// Opens it for saving. It must have been prepared.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoGroundTruth`]; those of [`h5part_engine::store::Store::writer`].
    pub fn saver(&self) -> Result<Saver> {
        let store = self.structure().store();
        let table = self.table()?.ok_or_else(|| self.missing("ground truth")).at("save to", store.path())?;
        let present = self.present_in(&table);
        let what = match (present.quantities.is_empty(), present.guarded) {
            (true, _) => Some("ground truth"),
            (false, false) => Some("stamps for the ground truth"),
            (false, true) => None,
        };
        if let Some(what) = what {
            return Err(self.missing(what).at("save to", store.path()));
        }
        let mut writer = store.writer(&self.structure().table())?;
        // The statuses decide which foreign values may be replaced.
        writer.set_accept_foreign(true);
        Ok(Saver {
            writer,
            method: self.method().clone(),
            quantities: present.quantities,
            overwrite: false,
            truth: self.clone(),
        })
    }
}

impl Saver {
    /// Sets what frames saved from now on survive. Default: [`Durability::Power`].
    pub fn set_durability(&mut self, durability: Durability) {
        self.writer.set_durability(durability);
    }

    /// Sets whether completed frames are saved again. Default: they are kept.
    pub fn set_overwrite(&mut self, overwrite: bool) {
        self.overwrite = overwrite;
    }

    /// The writer underneath, for the programs of this project.
    #[doc(hidden)]
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// Quantities that were prepared, so completed frames should have them.
    #[must_use]
    pub fn quantities(&self) -> &[Quantity] {
        &self.quantities
    }

    /// The column of a quantity, for the programs of this project.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoGroundTruth`].
    #[doc(hidden)]
    pub fn column(&self, quantity: Quantity) -> Result<&Column> {
        let column = self.writer.table().column(&quantity.dataset(&self.method)).ok();
        let missing = || self.truth.missing(quantity.word()).at("save to", self.truth.structure().store().path());
        column.ok_or_else(missing)
    }

    /// Saves frames.
    ///
    /// - Energies and forces are written for frames whose status is COMPLETED.
    /// - A status changes unless it was COMPLETED, or the new one is UNDEFINED.
    /// - A frame that is already COMPLETED only gets the values that it lacks (NaN). With [`Saver::set_overwrite`] it
    ///   is treated like any other, except that it keeps what is not given.
    /// - In a frame that becomes COMPLETED, prepared quantities that are not given become NaN.
    ///
    /// See [`Saver`] for what may run beside it, what is atomic and what survives. Frames that are treated differently
    /// are separate commits, one after the other.
    ///
    /// # Errors
    /// [`crate::ErrorKind::FrameOutOfRange`], [`crate::ErrorKind::DuplicateFrame`]; [`ErrorKind::BadValues`] for a
    /// COMPLETED frame with NaN or inf, and for statuses without a name; values of another shape or type;
    /// [`crate::ErrorKind::NoGroundTruth`] for a quantity that was not prepared; those of [`Writer::commit`].
    pub fn save(&mut self, frames: &Rows, results: &Results<'_>) -> Result<Saved> {
        self.try_save(frames, results).map_err(|kind| kind.at("save to", self.truth.structure().store().path()))
    }

    fn try_save(&mut self, frames: &Rows, results: &Results<'_>) -> Result<Saved, ErrorKind> {
        let batch = self.batch(frames, results)?;
        let mut saved = Saved::default();
        let mut waiting: Vec<usize> = Vec::with_capacity(batch.frames.len());
        for place in 0..batch.frames.len() {
            if batch.status(place) == FrameStatus::Undefined { saved.left += 1 } else { waiting.push(place) }
        }
        // Usually the frames are undefined, so this is tried before their statuses are read.
        let undefined = vec![FrameStatus::Undefined.number(); waiting.len()];
        waiting = self.pass(&batch, &waiting, &undefined, &mut saved)?;
        for _ in 0..TRIES {
            if waiting.is_empty() {
                return Ok(saved);
            }
            let old = self.statuses(&batch.rows(&waiting))?;
            waiting = self.pass(&batch, &waiting, &old, &mut saved)?;
        }
        let frame = waiting.first().map_or(0, |&place| batch.frames[place]);
        Err(ErrorKind::NotAsExpected { column: self.method.status(), row: frame })
    }

    /// Saves what is waiting if these are its statuses. Returns the frames with another status, and those that are
    /// treated like them.
    fn pass(
        &mut self,
        batch: &Batch<'_>,
        waiting: &[usize],
        old: &[i64],
        saved: &mut Saved,
    ) -> Result<Vec<usize>, ErrorKind> {
        let mut again = Vec::new();
        let most = self.most_at_once(batch);
        for (waiting, old) in waiting.chunks(most).zip(old.chunks(most)) {
            again.extend(self.pass_some(batch, waiting, old, saved)?);
        }
        Ok(again)
    }

    fn pass_some(
        &mut self,
        batch: &Batch<'_>,
        waiting: &[usize],
        old: &[i64],
        saved: &mut Saved,
    ) -> Result<Vec<usize>, ErrorKind> {
        let mut groups: BTreeMap<Action, Vec<(usize, i64)>> = BTreeMap::new();
        let stale = self.stale(batch, waiting)?;
        for ((&place, &old), stale) in waiting.iter().zip(old).zip(stale) {
            match self.action(batch, place, old.into(), stale)? {
                Some(action) => groups.entry(action).or_default().push((place, old)),
                None => saved.left += 1,
            }
        }
        let mut again = Vec::new();
        for (action, members) in groups {
            let (places, old): (Vec<usize>, Vec<i64>) = members.into_iter().unzip();
            let count = places.len() as u64;
            match self.commit(batch, action, &places, &old) {
                Ok(()) if action == Action::Mark => saved.marked += count,
                Ok(()) => saved.completed += count,
                Err(ErrorKind::NotAsExpected { .. }) => again.extend(places),
                Err(other) => return Err(other),
            }
        }
        Ok(again)
    }

    /// The quantities that were prepared but are not given while others are.
    fn not_given(&self, batch: &Batch<'_>) -> [bool; 2] {
        let given = Quantity::ALL.map(|quantity| batch.values(quantity).is_some());
        let prepared = Quantity::ALL.map(|quantity| self.quantities.contains(&quantity));
        [0, 1].map(|k| prepared[k] && !given[k] && given.contains(&true))
    }

    /// For how many frames the quantities that are not given may be held in memory.
    fn most_at_once(&self, batch: &Batch<'_>) -> usize {
        let bytes = match self.not_given(batch) {
            [_, true] => self.truth.structure().atoms().saturating_mul(24),
            [true, false] => 8,
            [false, false] => return usize::MAX,
        };
        to_usize(PORTION_BYTES / bytes.max(1)).max(1)
    }

    /// For each frame, which quantities that are not given have numbers in the file. If all quantities are given,
    /// nothing is read.
    fn stale(&mut self, batch: &Batch<'_>, places: &[usize]) -> Result<Vec<[bool; 2]>, ErrorKind> {
        let mut stale = vec![[false; 2]; places.len()];
        let not_given = self.not_given(batch);
        for (k, quantity) in Quantity::ALL.into_iter().enumerate().filter(|(k, _)| not_given[*k]) {
            let lies = self.writer.as_it_lies(&quantity.dataset(&self.method), &batch.rows(places));
            let lies = lies.map_err(h5part_base::error::Error::into_kind)?;
            for (stale, cell) in stale.iter_mut().zip(cells(lies.bytes(), places.len())) {
                stale[k] = has_number(cell);
            }
        }
        Ok(stale)
    }

    fn action(
        &mut self,
        batch: &Batch<'_>,
        place: usize,
        old: FrameStatus,
        stale: [bool; 2],
    ) -> Result<Option<Action>, ErrorKind> {
        let new = batch.status(place);
        if !old.is_completed() || self.overwrite {
            let blank = stale.map(|stale| stale && !old.is_completed());
            return Ok(Some(if new.is_completed() { Action::Whole(blank) } else { Action::Mark }));
        }
        if !new.is_completed() {
            return Ok(None);
        }
        let row = Rows::one(batch.frames[place]);
        let mut lacks = [false; 2];
        for (k, quantity) in Quantity::ALL.into_iter().enumerate() {
            if batch.values(quantity).is_some() {
                let lies = self.writer.as_it_lies(&quantity.dataset(&self.method), &row);
                lacks[k] = has_nan(lies.map_err(h5part_base::error::Error::into_kind)?.bytes());
            }
        }
        Ok(lacks.contains(&true).then_some(Action::Fill(lacks)))
    }

    /// Commits frames that are treated alike, if their statuses are still these.
    fn commit(&mut self, batch: &Batch<'_>, action: Action, places: &[usize], old: &[i64]) -> Result<(), ErrorKind> {
        let rows = batch.rows(places);
        let statuses: Vec<i64> = places.iter().map(|&place| batch.status(place).number()).collect();
        let (name, shape) = (self.method.status(), [places.len() as u64]);
        let status = |of: &'_ [i64]| Values::new(Dtype::I64, &shape, bytemuck::cast_slice::<_, u8>(of).to_vec());
        let names = Quantity::ALL.map(|quantity| quantity.dataset(&self.method));
        let mut values = Vec::with_capacity(3);
        let mut expected = vec![(name.as_str(), status(old)?)];
        let not_given = self.not_given(batch);
        for (k, quantity) in Quantity::ALL.into_iter().enumerate() {
            let name = names[k].as_str();
            let wanted = match action {
                Action::Whole(_) => true,
                Action::Mark => false,
                Action::Fill(lacks) => lacks[k],
            };
            if let Some(of) = batch.values(quantity).filter(|_| wanted) {
                values.push((name, batch.part(of, places)?));
            }
            match action {
                Action::Whole(blank) if blank[k] => values.push((name, self.blank(name, rows.len())?)),
                // It must still have no numbers, or still lack them.
                Action::Whole(_) if not_given[k] => {
                    let without = |place: usize, cell: &[u8]| old[place] == COMPLETED || !has_number(cell);
                    expected.push((name, self.as_it_lies(name, &rows, without)?));
                }
                Action::Fill(lacks) if lacks[k] => {
                    expected.push((name, self.as_it_lies(name, &rows, |_, cell| has_nan(cell))?));
                }
                _ => {}
            }
        }
        if !matches!(action, Action::Fill(_)) {
            values.push((name.as_str(), status(&statuses)?));
        }
        self.writer.commit_if(&rows, &values, &expected).map_err(h5part_base::error::Error::into_kind)?;
        Ok(())
    }

    /// The bytes in the file, if `is_fine` accepts every cell.
    fn as_it_lies(
        &mut self,
        name: &str,
        rows: &Rows,
        is_fine: impl Fn(usize, &[u8]) -> bool,
    ) -> Result<Values<'static>, ErrorKind> {
        let lies = self.writer.as_it_lies(name, rows).map_err(h5part_base::error::Error::into_kind)?;
        let count = to_usize(rows.len());
        if let Some(place) = cells(lies.bytes(), count).enumerate().position(|(place, cell)| !is_fine(place, cell)) {
            let row = rows.iter().nth(place).unwrap_or_default();
            return Err(ErrorKind::NotAsExpected { column: name.to_owned(), row });
        }
        let shape = lies.shape().to_vec();
        Values::new(Dtype::F64, &shape, lies.into_bytes())
    }

    /// NaN for this many cells.
    fn blank(&self, name: &str, rows: u64) -> Result<Values<'static>, ErrorKind> {
        let column = self.writer.table().column(name)?;
        let shape: Vec<u64> = [rows].into_iter().chain(column.shape.iter().copied()).collect();
        let count = to_usize(shape.iter().product::<u64>());
        Values::new(Dtype::F64, &shape, f64::NAN.to_le_bytes().repeat(count))
    }

    fn statuses(&mut self, rows: &Rows) -> Result<Vec<i64>, ErrorKind> {
        let lies = self.writer.as_it_lies(&self.method.status(), rows).map_err(h5part_base::error::Error::into_kind)?;
        Ok(lies.array::<i64>()?.into_iter().collect())
    }

    /// Everything that can be checked before the file is read.
    fn batch<'a>(&mut self, frames: &Rows, results: &'a Results<'a>) -> Result<Batch<'a>, ErrorKind> {
        check_frames(frames, self.truth.structure().frames())?;
        let batch = Batch { frames: frames.iter().collect(), results };
        if !matches!(results.statuses.len(), 1) && results.statuses.len() != batch.frames.len() {
            let text = format!("{} statuses for {} frames", results.statuses.len(), batch.frames.len());
            return Err(ErrorKind::bad_values(text));
        }
        check_statuses(frames, &results.statuses)?;
        for quantity in Quantity::ALL {
            let Some(values) = batch.values(quantity) else { continue };
            if !self.quantities.contains(&quantity) {
                return Err(self.truth.missing(quantity.word()));
            }
            let column = self.writer.table().column(&quantity.dataset(&self.method))?;
            check_fit(column, values.dtype(), values.shape(), frames.len())?;
            let cell = batch.cell(values);
            let not_finite = |&place: &usize| !is_finite(&values.bytes()[place * cell..(place + 1) * cell]);
            let mut completed = (0..batch.frames.len()).filter(|&place| batch.status(place).is_completed());
            if let Some(place) = completed.find(not_finite) {
                let (word, frame) = (quantity.word(), batch.frames[place]);
                let text = format!(
                    "the {word} of frame {frame} are not all finite numbers (NaN, inf), and its status is COMPLETED; \
                     is it FAILED?"
                );
                return Err(ErrorKind::bad_values(text));
            }
        }
        let completes = (0..batch.frames.len()).any(|place| batch.status(place).is_completed());
        if completes && Quantity::ALL.iter().all(|&quantity| batch.values(quantity).is_none()) {
            let text = "COMPLETED frames need energies, forces or both";
            return Err(ErrorKind::bad_values(text));
        }
        Ok(batch)
    }
}

/// What to save, by the index of its frames.
struct Batch<'a> {
    frames: Vec<u64>,
    results: &'a Results<'a>,
}

impl<'a> Batch<'a> {
    fn status(&self, place: usize) -> FrameStatus {
        match self.results.statuses.as_slice() {
            [one] => *one,
            each => each.get(place).copied().unwrap_or(FrameStatus::Undefined),
        }
    }

    fn values(&self, quantity: Quantity) -> Option<&'a Values<'a>> {
        match quantity {
            Quantity::Energies => self.results.energies.as_ref(),
            Quantity::Forces => self.results.forces.as_ref(),
        }
    }

    fn rows(&self, places: &[usize]) -> Rows {
        Rows::list(&places.iter().map(|&place| self.frames[place]).collect::<Vec<_>>())
    }

    /// Bytes of the values per frame.
    fn cell(&self, values: &Values<'_>) -> usize {
        values.bytes().len() / self.frames.len().max(1)
    }

    /// The values of some of the frames. All of them are returned without a copy.
    fn part(&self, values: &'a Values<'a>, places: &[usize]) -> Result<Values<'a>, ErrorKind> {
        if places.len() == self.frames.len() {
            return Values::new(values.dtype(), values.shape(), values.bytes());
        }
        let cell = self.cell(values);
        let bytes: Vec<u8> =
            places.iter().flat_map(|&place| &values.bytes()[place * cell..(place + 1) * cell]).copied().collect();
        // A single frame may have come without its axis. It is then the whole batch.
        let shape: Vec<u64> = [places.len() as u64].into_iter().chain(values.shape().iter().skip(1).copied()).collect();
        Values::new(values.dtype(), &shape, bytes)
    }
}

/// The bytes of this many cells, one after the other.
fn cells(bytes: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks_exact((bytes.len() / count.max(1)).max(1))
}

/// Whether any of the f64 values is a number.
fn has_number(bytes: &[u8]) -> bool {
    bytes.chunks_exact(8).any(|b| !f64::from_le_bytes(b.try_into().unwrap_or_default()).is_nan())
}

/// Whether all of the f64 values are finite.
fn is_finite(bytes: &[u8]) -> bool {
    // It never stops early: nearly always all are finite, and this form checks several at a time.
    let finite = |b: &[u8]| f64::from_le_bytes(b.try_into().unwrap_or_default()).is_finite();
    bytes.chunks_exact(8).fold(true, |all, b| all & finite(b))
}

/// Whether any of the f64 values is NaN.
fn has_nan(bytes: &[u8]) -> bool {
    bytes.chunks_exact(8).any(|b| f64::from_le_bytes(b.try_into().unwrap_or_default()).is_nan())
}
