//! Reads a ground truth, and counts its frames.

use super::ground_truth::{GroundTruth, Present};
use super::names::Quantity;
use super::select::{Chunk, check_frames, frames_to_compute};
use super::status::FrameStatus;
use h5part_base::dataspace::Rows;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::num::to_usize;
use h5part_engine::store::{Block, Reader};
use std::collections::BTreeMap;

/// Frames are read in portions of about this many bytes.
const PORTION_BYTES: u64 = 64 << 20;

/// Reads a ground truth.
///
/// **Concurrency.** Beside any number of writers, and of Python processes that keep the lock protocol. It waits while
/// these have the file. It keeps nobody waiting who saves other frames. **Sees** each frame whole: values and status of
/// one save.
#[derive(Debug)]
pub struct TruthReader {
    reader: Reader,
    truth: GroundTruth,
    present: Present,
}

/// Frames that were read, in the order of the selection. Values are NaN in frames that are not COMPLETED, and where a
/// completed frame lacks them.
#[derive(Clone, Debug)]
pub struct Frames {
    /// Status of each frame.
    pub statuses: Vec<FrameStatus>,
    /// Energies, little-endian f64 (frames), if there are any.
    pub energies: Option<Vec<f64>>,
    /// Forces, f64 (frames, atoms, 3), if there are any.
    pub forces: Option<Vec<f64>>,
}

/// Progress of a ground truth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TruthSummary {
    /// Number of frames of each status.
    pub counts: BTreeMap<String, u64>,
    /// Completed frames that lack a quantity, since some of its values are NaN.
    pub lacking: BTreeMap<Quantity, Vec<u64>>,
}

impl GroundTruth {
    /// Opens it for reading. It may have been made by Python.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoGroundTruth`]; those of [`h5part_engine::store::Store::reader`].
    pub fn reader(&self) -> Result<TruthReader> {
        let store = self.structure().store();
        let missing = || self.missing("ground truth").at("read", store.path());
        let present = self.present()?;
        if present.quantities.is_empty() && !present.status {
            return Err(missing());
        }
        let mut reader = store.reader(&self.structure().table())?;
        // Python may overwrite committed values, and its values then count.
        reader.set_accept_foreign(true);
        Ok(TruthReader { reader, truth: self.clone(), present })
    }
}

impl TruthReader {
    /// What exists for reading.
    #[must_use]
    pub fn present(&self) -> &Present {
        &self.present
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.reader.table().rows
    }

    /// Reads frames with these quantities. Others are not read.
    ///
    /// # Errors
    /// [`crate::ErrorKind::FrameOutOfRange`], [`crate::ErrorKind::DuplicateFrame`], [`crate::ErrorKind::NoGroundTruth`], those of
    /// [`Reader::read_columns`].
    pub fn read(&mut self, frames: &Rows, quantities: &[Quantity]) -> Result<Frames> {
        let method = self.truth.method();
        let path = self.truth.structure().store().path();
        check_frames(frames, self.frames()).at("read", path)?;
        if let Some(absent) = quantities.iter().find(|q| !self.present.quantities.contains(q)) {
            return Err(self.truth.missing(absent.word()).at("read", path));
        }
        let status = self.present.status.then(|| method.status());
        let names: Vec<String> = status.into_iter().chain(quantities.iter().map(|q| q.dataset(method))).collect();
        let mut read = Frames { statuses: Vec::new(), energies: None, forces: None };
        if names.is_empty() {
            read.statuses = frames.iter().map(|_| FrameStatus::Completed).collect();
            return Ok(read);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut blocks = self.reader.read_columns(&names, frames)?.into_iter();
        read.statuses = match self.present.status.then(|| blocks.next()).flatten() {
            Some(block) => statuses(&block).at("read", path)?,
            // This is also Python's rule.
            None => frames.iter().map(|_| FrameStatus::Completed).collect(),
        };
        for (quantity, block) in quantities.iter().zip(blocks) {
            let values = Some(values(&block, &read.statuses).at("read", path)?);
            match quantity {
                Quantity::Energies => read.energies = values,
                Quantity::Forces => read.forces = values,
            }
        }
        Ok(read)
    }

    /// Reads the statuses of all frames.
    ///
    /// # Errors
    /// As [`TruthReader::read`].
    pub fn statuses(&mut self) -> Result<Vec<FrameStatus>> {
        let all = Rows::range(0..self.frames());
        Ok(self.read(&all, &[])?.statuses)
    }

    /// The frames to compute, ascending: see [`frames_to_compute`]. With `lacking`, completed frames that lack one of
    /// these quantities are included.
    ///
    /// # Errors
    /// As [`frames_to_compute`], [`TruthReader::read`].
    pub fn to_compute(
        &mut self,
        selection: Option<&Rows>,
        chunk: Option<Chunk>,
        overwrite: bool,
        lacking: &[Quantity],
    ) -> Result<Vec<u64>> {
        let mut statuses = self.statuses()?;
        if !lacking.is_empty() {
            for frame in self.summary(lacking, &|_, _| ())?.lacking.into_values().flatten() {
                if let Some(status) = usize::try_from(frame).ok().and_then(|frame| statuses.get_mut(frame)) {
                    *status = FrameStatus::Undefined;
                }
            }
        }
        frames_to_compute(&statuses, selection, chunk, overwrite)
            .at("select frames of", self.truth.structure().store().path())
    }

    /// Counts frames by status, and finds completed frames that lack one of these quantities. It reads all values of
    /// these quantities; `progress` is called with the frames done and the number of all frames.
    ///
    /// # Errors
    /// As [`TruthReader::read`].
    pub fn summary(&mut self, quantities: &[Quantity], progress: &dyn Fn(u64, u64)) -> Result<TruthSummary> {
        let structure = self.truth.structure();
        let portion = (PORTION_BYTES / (structure.atoms().saturating_mul(24) + 16)).max(1);
        let (mut summary, frames) = (TruthSummary::default(), self.frames());
        for status in FrameStatus::NAMED {
            summary.counts.insert(status.to_string(), 0);
        }
        for start in (0..frames).step_by(to_usize(portion)) {
            let rows = Rows::range(start..frames.min(start + portion));
            let read = self.read(&rows, quantities)?;
            for status in &read.statuses {
                *summary.counts.entry(status.to_string()).or_default() += 1;
            }
            for &quantity in quantities {
                let values = match quantity {
                    Quantity::Energies => &read.energies,
                    Quantity::Forces => &read.forces,
                };
                let lacking = lacking(values.as_deref().unwrap_or_default(), &read.statuses);
                summary.lacking.entry(quantity).or_default().extend(lacking.map(|place| start + place));
            }
            progress(rows.len() + start, frames);
        }
        Ok(summary)
    }
}

/// Indices of completed frames with NaN.
fn lacking<'a>(values: &'a [f64], statuses: &'a [FrameStatus]) -> impl Iterator<Item = u64> + 'a {
    let cell = values.len() / statuses.len().max(1);
    let frames = (0..).zip(statuses.iter().zip(values.chunks_exact(cell.max(1))));
    frames.filter(|(_, (status, values))| status.is_completed() && values.iter().any(|v| v.is_nan())).map(|(k, _)| k)
}

fn statuses(block: &Block) -> Result<Vec<FrameStatus>, ErrorKind> {
    let numbers = block.array::<i64>()?;
    // A status that is not committed counts as undefined, whatever the fill is.
    let status = |(&number, is_there): (&i64, bool)| if is_there { number.into() } else { FrameStatus::Undefined };
    Ok(numbers.iter().zip(block.states().iter().map(|state| state.is_present())).map(status).collect())
}

/// Values of completed frames; NaN for the others, whatever the file holds.
fn values(block: &Block, statuses: &[FrameStatus]) -> Result<Vec<f64>, ErrorKind> {
    let mut values: Vec<f64> = block.array::<f64>()?.into_iter().collect();
    let cell = values.len() / statuses.len().max(1);
    let frames = values.chunks_exact_mut(cell.max(1)).zip(statuses.iter().zip(block.states()));
    for (values, (status, state)) in frames {
        if !status.is_completed() || !state.is_present() {
            values.fill(f64::NAN);
        }
    }
    Ok(values)
}
