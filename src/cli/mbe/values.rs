//! Statuses, energies and forces in the forms that `h5part mbe save` accepts.

use crate::cli::common::{elements, request};
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::Dtype;
use h5part_base::error::At;
use h5part_engine::store::{Values, check_fit};
use h5part_input::npy::RowSource;
use h5part_mbe::{FrameStatus, Quantity, Saver};
use std::path::{Path, PathBuf};

/// One status for all frames, or those of a .npy file.
pub(super) fn statuses(text: &str, frames: u64) -> Result<Vec<FrameStatus>> {
    let path = Path::new(text);
    let unreadable = match text.parse::<FrameStatus>() {
        Ok(status) => return Ok(vec![status]),
        Err(why) => why,
    };
    if path.extension().is_none_or(|extension| extension != "npy") {
        return Err(request("read", path, format!("{unreadable}, or a .npy file")));
    }
    let mut source = RowSource::open(path).at("read", path)?;
    let found = source.dtype_out();
    if !found.is_whole() {
        let text = format!("statuses are whole numbers, and these are {found}: save them as int64");
        return Err(ErrorKind::bad_values(text).at("read", path));
    }
    source.cast_to(Dtype::I64);
    if source.shape() != [frames] {
        let text = format!("statuses of shape {:?} for {frames} frames", source.shape());
        return Err(ErrorKind::bad_values(text).at("read", path));
    }
    let bytes = source.next_rows(frames, 1).at("read", path)?;
    Ok(elements::<i64>(&bytes).into_iter().map(FrameStatus::from).collect())
}

/// Values of one quantity from a .npy file.
pub(super) struct NpyValues {
    rows: RowSource,
    path: PathBuf,
    /// Shape per frame.
    shape: Vec<u64>,
    /// Elements per frame.
    pub(super) elements: u64,
}

impl NpyValues {
    pub(super) fn open(saver: &Saver, quantity: Quantity, path: &Path, frames: u64, cast: bool) -> Result<Self> {
        let mut rows = RowSource::open(path).at("read", path)?;
        if cast {
            rows.cast_to(Dtype::F64);
        }
        let column = saver.column(quantity)?;
        check_fit(column, rows.dtype_out(), rows.shape(), frames).at("read", path)?;
        let shape = column.shape.clone();
        let elements = shape.iter().product();
        Ok(Self { rows, path: path.to_owned(), shape, elements })
    }

    pub(super) fn next(&mut self, frames: u64) -> Result<Values<'static>> {
        let bytes = self.rows.next_rows(frames, self.elements).at("read", &self.path)?;
        let shape: Vec<u64> = [frames].into_iter().chain(self.shape.iter().copied()).collect();
        Values::new(Dtype::F64, &shape, bytes).at("read", &self.path)
    }
}
